package flag

import "strings"

// version is a semantic version as golang.org/x/mod/semver reads it, which is what flagd uses: a v or V before it is
// fine, the minor or the patch number may be missing, and what follows a + is ignored.
type version struct{ major, minor, patch, pre string }

// parseVersion says no to what is no version.
func parseVersion(s string) (v version, ok bool) {
	if strings.HasPrefix(s, "v") || strings.HasPrefix(s, "V") {
		s = s[1:]
	}
	if v.major, s, ok = versionNumber(s); !ok || s == "" {
		v.minor, v.patch = "0", "0"
		return v, ok
	}
	if s[0] != '.' {
		return v, false
	}
	if v.minor, s, ok = versionNumber(s[1:]); !ok || s == "" {
		v.patch = "0"
		return v, ok
	}
	if s[0] != '.' {
		return v, false
	}
	if v.patch, s, ok = versionNumber(s[1:]); !ok {
		return v, false
	}
	if s != "" && s[0] == '-' {
		if v.pre, s, ok = versionParts(s[1:], true); !ok {
			return v, false
		}
	}
	if s != "" && s[0] == '+' {
		_, s, ok = versionParts(s[1:], false)
	}
	return v, ok && s == ""
}

func versionNumber(s string) (n, rest string, ok bool) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 || i > 1 && s[0] == '0' {
		return "", "", false
	}
	return s[:i], s[i:], true
}

// versionParts reads dotted identifiers; in a pre-release a number has no leading zero.
func versionParts(s string, pre bool) (parts, rest string, ok bool) {
	start := 0
	for i := 0; ; i++ {
		if i < len(s) && isIdentifier(s[i]) {
			continue
		}
		part := s[start:i]
		if part == "" || pre && len(part) > 1 && part[0] == '0' && isDigits(part) {
			return "", "", false
		}
		if i == len(s) || s[i] != '.' {
			return s[:i], s[i:], true
		}
		start = i + 1
	}
}

func isIdentifier(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-'
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// compare orders by precedence (semver.org, 11): below, at or above 0.
func (v version) compare(w version) int {
	for _, pair := range [3][2]string{{v.major, w.major}, {v.minor, w.minor}, {v.patch, w.patch}} {
		if c := compareNumbers(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return comparePre(v.pre, w.pre)
}

func comparePre(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if x == y {
			continue
		}
		switch nx, ny := isDigits(x), isDigits(y); {
		case nx && ny:
			return compareNumbers(x, y)
		case nx:
			return -1
		case ny:
			return 1
		}
		return strings.Compare(x, y)
	}
	return len(a) - len(b) // the longer one wins where all before is the same
}

// comparison is one of sem_ver's operators; ok is false where it is none.
func (v version) matches(operator string, w version) (match, ok bool) {
	switch operator {
	case "=":
		return v.compare(w) == 0, true
	case "!=":
		return v.compare(w) != 0, true
	case "<":
		return v.compare(w) < 0, true
	case "<=":
		return v.compare(w) <= 0, true
	case ">":
		return v.compare(w) > 0, true
	case ">=":
		return v.compare(w) >= 0, true
	case "^":
		return v.major == w.major, true
	case "~":
		return v.major == w.major && v.minor == w.minor, true
	}
	return false, false
}
