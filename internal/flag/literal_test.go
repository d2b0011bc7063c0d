package flag_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// TestDataAsRules has the places where flagd core v0.16.1 takes data for a rule. want is as gives has it.
func TestDataAsRules(t *testing.T) {
	for _, row := range []struct{ rule, context, want string }{
		{`{"if":[true,{"var":"o"}]}`, `{"o":{"var":"x"},"x":"a"}`, "a"},
		{`{"if":[true,{"var":"o"}]}`, `{"o":{"name":"x"}}`, "!"},
		{`{"if":[true,{"var":"o"}]}`, `{"o":{"if":[0,1],"b":2}}`, "?"},
		{`{"or":[{"var":"o"}]}`, `{"o":{"cat":["a"]}}`, "?"},
		{`{"if":[true,{"var":""}]}`, `{}`, "!"},
		// an iteration's rule gets what a var finds outside, and is run as what it is then
		{`{"some":[[{"n":"a"}],{"==":[{"var":"n"},{"var":"o"}]}]}`, `{"o":{"var":"n"}}`, "true"},
		{`{"none":[[1],{"if":{"var":"o"}}]}`, `{"o":[0,1,0]}`, "true"},
		{`{"none":[[1],{"if":{"var":"o"}}]}`, `{"o":1}`, "!"},
		{`{"all":[[{"r":{"!":[[]]}}],{"and":[{"var":"r"}]}]}`, `{}`, "true"},
		{`{"all":[[{"r":{"nonsense":1}}],{"and":[{"var":"r"}]}]}`, `{}`, "!"},
		{`{"some":[[[1]],{"some":[{"var":"l"},{"==":[{"var":""},2]}]}]}`, `{"l":[{"+":[1,1]}]}`, "false"},
		{`{"if":[{"filter":[[],{"var":[1]}]},"a","b"]}`, `{}`, "!"},
		{`{"if":[{"filter":[null,{"var":[1]}]},"a","b"]}`, `{}`, "b"},
		{`{"if":[{"filter":[{"var":"no"},{"var":[1]}]},"a","b"]}`, `{}`, "b"},
		{`{"if":[{"filter":[[{"n":1}],{"==":[{"var":["n",{"var":"m"}]},{"var":"m"}]}]},"a","b"]}`, `{"m":1}`, "a"},
		{`{"some":[[{"b":1}],{"==":[{"var":"o"},1]}]}`, `{"o":{"var":"b","z":2}}`, "true"},
		{`{"some":[[{"b":1}],{"and":[{"if":{"var":"o"}},{"==":[{"var":".b"},1]}]}]}`, `{"o":[1,1,0],"b":7}`, "true"},
		{`{"some":[[1],{"var":"o","z":1}]}`, `{"o":1}`, "!"},
		{`{"some":[[[],[]],{"map":[{"var":"n"},{"var":["a",null]}]}]}`, `{"a":{"var":{}}}`, "!"},
		{`{"if":[{"filter":[[1],{"in":[5,{"merge":[{"map":[{"var":"o"},{"var":""}]}]}]}]},"a","b"]}`, `{"o":{"merge":[5]}}`, "a"},
		{`{"some":[[1],{"and":[{"if":{"var":"o"}},{"$ref":"s"}]}]}`, `{"o":[1,1,0]}`, "true"},
		{`{"if":[{"missing":[{"var":"o"}]},"a","b"]}`, `{"o":[{"cat":["q"]}],"q":1}`, "b"},
		{`{"all":[[]]}`, `{}`, "false"}, {`{"none":[[]]}`, `{}`, "true"}, {`{"some":[[1]]}`, `{}`, "!"},
		{`{"if":[{"missing":[{"var":"o"}]},"a","b"]}`, `{"o":{"cat":["o"]}}`, "b"},
		// what flagd's library has beyond JSONLogic
		{`{"contains_all":[["a",1],[1.0]]}`, `{}`, "true"}, {`{"contains_all":[["a"],["a","b"]]}`, `{}`, "false"}, {`{"contains_all":["a",["a"]]}`, `{}`, "false"},
		{`{"contains_any":[["a"],["b","a"]]}`, `{}`, "true"}, {`{"contains_any":[["1"],[1]]}`, `{}`, "false"}, {`{"contains_any":[[[]],[[]]]}`, `{}`, "!"},
		{`{"contains_none":[["a"],["b"]]}`, `{}`, "true"}, {`{"contains_none":[["a"],["a"]]}`, `{}`, "false"}, {`{"contains_none":[1]}`, `{}`, "true"},
		{`{"if":[{"set":[{"var":"o"},"x",1]},"a","b"]}`, `{"o":{}}`, "a"}, {`{"set":["a"]}`, `{}`, "a"}, {`{"set":[{"var":""},1,1]}`, `{}`, "!"},
		{`{"set":[{"var":""},"x",{"/":[0,0]}]}`, `{}`, "!"}, {`{"set":[1,2,3]}`, `{}`, "1"}, {`{"if":[{"set":[{"var":"o"},"x",{"var":"r"}]},"a","b"]}`, `{"o":{},"r":{"nonsense":1}}`, "!"},
		{`{"if":[true,{"set":[{"var":"o"},"cat",["a"]]}]}`, `{"o":{"cat":1}}`, "a"}, {`{"set":"a"}`, `{}`, "!"},
		// a Go int that is no float64, an infinite number, and names that JSON writes otherwise
		{`{"===":[{"-":[]},0]}`, `{}`, "false"}, {`{"==":[{"/":[]},0]}`, `{}`, "true"}, {`{">":["1e400",1]}`, `{}`, "false"},
		{`"a<b"`, `{}`, "?"}, {`"a\\b"`, `{}`, "?"}, {`"a\"b"`, `{}`, `a\b`}, {`[1]`, `{}`, "[1]"},
	} {
		gives(t, `{"a":1,"b":2,"true":3,"false":4,"1":5,"a<b":6,"a\\b":7,"[1]":8}`, row.rule, row.context, row.want)
	}
}

// Rules out of data end at a bound of ours, however they come about. What the contexts hold is finite, so that any engine
// gets to the end of them: one of twenty rules in one another is computed, one of sixty is refused, and so is a list of
// rules that is run once for each element of a long one.
func TestBoundOnRulesOutOfData(t *testing.T) {
	chain := func(n int) string {
		text := `"a0":{"cat":["a"]}`
		for i := range n {
			text += fmt.Sprintf(`,"a%d":{"if":[true,{"var":"a%d"}]}`, i+1, i)
		}
		return "{" + text + "}"
	}
	gives(t, `{"a":1}`, `{"if":[true,{"var":"a20"}]}`, chain(20), "a")
	gives(t, `{"a":1}`, `{"if":[true,{"var":"a30"}]}`, chain(30), "a")
	gives(t, `{"a":1}`, `{"if":[true,{"var":"a32"}]}`, chain(32), "!")
	gives(t, `{"a":1}`, `{"if":[true,{"var":"a60"}]}`, chain(60), "!")
	list := `{"l":[` + strings.Repeat("0,", 2000) + `0],"a":[{"!!":[]}` + strings.Repeat(`,{"cat":["x","y"]}`, 200) + `]}`
	gives(t, `{"true":1}`, `{"some":[{"var":"l"},{"in":["z",{"var":"a"}]}]}`, list, "!")
}

// A $ref is resolved in a variant's value, too, and the document keeps what was written.
func TestRefInVariant(t *testing.T) {
	text := `{"flags":{"f":{"state":"ENABLED","variants":{"a":{"x":[{"$ref":"s"}]}},"defaultVariant":"a"}},"$evaluators":{"s":{"var":"n"}}}`
	set, err := flag.Compile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if r := set.Evaluate("f", nil); string(r.JSON) != `{"x":[{"var":"n"}]}` {
		t.Errorf("the value is %s; want the segment in it", r.JSON)
	}
	document, err := flag.ParseDocument([]byte(text))
	if err != nil || !strings.Contains(string(document.JSON()), `{"$ref":"s"}`) {
		t.Errorf("the document became %s, %v", document.JSON(), err)
	}
}
