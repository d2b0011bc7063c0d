package store

import (
	"fmt"
	"strings"
	"time"
)

// The flags table, every shape of its keys:
//
//	pk                          sk                        what
//	FLAGS#<app>#<env>           REVISION                  revision: what readers ask for, once a second
//	SNAPSHOT#<app>#<env>        DOCUMENT#<nnn>            chunk of board.Document
//	SNAPSHOT#<app>#<env>        INDEX#<nnn>               chunk of board.State's Index
//	CHANGES#<app>#<env>         R#<revision>              board.Audit
//	VERSIONS#<app>#<env>#<key>  V#<version>#<change>      board.Version
//	KEY#<sha256>                KEY                       board.Key
//	KEYS#<app>#<env>            <id>                      board.Key
//	COUNT#<app>#<env>           <key>#<variant>#<hour>    how often, until it expires
//	LAST#<app>#<env>            <key>#<variant>           first and last hour
//
// There is no item a flag: the document is the head of all of an environment's flags, so that a change of any number of
// them is one transaction, and every reader sees all of it or nothing.

func flagsPartition(kind, app, environment string) string {
	return kind + "#" + appEnvironment(app, environment)
}

func revisionKey(app, environment string) attributes {
	return key(flagsPartition("FLAGS", app, environment), "REVISION")
}

func documentKey(app, environment string, n int) attributes {
	return key(flagsPartition("SNAPSHOT", app, environment), "DOCUMENT#"+number3(n))
}

func indexKey(app, environment string, n int) attributes {
	return key(flagsPartition("SNAPSHOT", app, environment), "INDEX#"+number3(n))
}

func changeKey(app, environment string, revision int64) attributes {
	return key(flagsPartition("CHANGES", app, environment), fmt.Sprintf("R#%010d", revision))
}

func versionsPartition(app, environment, flag string) string {
	return flagsPartition("VERSIONS", app, environment) + "#" + flag
}

func versionSort(version int64) string { return fmt.Sprintf("V#%08d#", version) }

func versionKey(app, environment, flag string, version int64, change string) attributes {
	return key(versionsPartition(app, environment, flag), versionSort(version)+change)
}

func secretKey(hash string) attributes { return key("KEY#"+hash, "KEY") }

func keysKey(app, environment, id string) attributes {
	return key(flagsPartition("KEYS", app, environment), id)
}

const hourForm = "2006-01-02T15"

func countKey(app, environment, flag, variant string, hour time.Time) attributes {
	return key(flagsPartition("COUNT", app, environment), flag+"#"+variant+"#"+hour.UTC().Format(hourForm))
}

func lastKey(app, environment, flag, variant string) attributes {
	return key(flagsPartition("LAST", app, environment), flag+"#"+variant)
}

// cutLast takes the sort key of a LAST item apart: no flag's key has a #, a variant's name may.
func cutLast(sort string) (flag, variant string) {
	flag, variant, _ = strings.Cut(sort, "#")
	return flag, variant
}
