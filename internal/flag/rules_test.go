package flag_test

import (
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// TestRules has a row for each thing that flagd core v0.16.1 does in a way of its own. want is
// as gives has it.
func TestRules(t *testing.T) {
	for _, row := range []struct{ rule, context, want string }{
		{`{"<":["a","b"]}`, `{}`, "true"}, {`{"<":["a","a"]}`, `{}`, "false"}, {`{"<":["10",9]}`, `{}`, "false"}, {`{"<":["10","9"]}`, `{}`, "true"},
		{`{"<=":[1,2,2]}`, `{}`, "true"}, {`{"<":[1,2,2]}`, `{}`, "false"}, {`{"<":[null,1]}`, `{}`, "true"}, {`{">=":["x",0]}`, `{}`, "false"},
		{`{"==":[null,0]}`, `{}`, "false"}, {`{"==":[null,null]}`, `{}`, "true"}, {`{"==":["1",1]}`, `{}`, "true"}, {`{"==":[""," "]}`, `{}`, "false"},
		{`{"==":[" ",0]}`, `{}`, "true"}, {`{"==":[true,"1"]}`, `{}`, "true"}, {`{"==":[[1],[1]]}`, `{}`, "false"}, {`{"===":["1",1]}`, `{}`, "false"},
		{`{"!==":["1",1]}`, `{}`, "true"}, {`{"==":["0x10",16]}`, `{}`, "false"}, {`{"==":["nan","x"]}`, `{}`, "false"}, {`{"==":["1e400",1]}`, `{}`, "false"},
		{`{"!":[[]]}`, `{}`, "true"}, {`{"!!":["0"]}`, `{}`, "true"}, {`{"!":{"var":"x"}}`, `{"x":[0]}`, "true"}, {`{"!!":{"var":"x"}}`, `{"x":{}}`, "false"},
		{`{"if":[]}`, `{}`, ""}, {`{"if":[0,"a"]}`, `{}`, ""}, {`{"if":["a"]}`, `{}`, "a"}, {`{"if":[{"var":"o"},"a","b"]}`, `{"o":{"k":1}}`, "a"},
		{`{"if":[true,{"var":"o"}]}`, `{"o":{"k":1}}`, "!"}, {`{"if":[true,{"nonsense":1},"a"]}`, `{}`, "!"}, {`{"if":[false,{"nonsense":1},"a"]}`, `{}`, "a"},
		{`{"and":[1,"a"]}`, `{}`, "a"}, {`{"or":[0,"","b"]}`, `{}`, "b"}, {`{"or":[{"var":"x"},"b"]}`, `{"x":"a"}`, "a"},
		{`{"var":"x.1"}`, `{"x":["b","a"]}`, "a"}, {`{"var":"x.y"}`, `{"x":["b","a"]}`, "b"}, {`{"var":["x","a"]}`, `{"x":null}`, "a"}, {`{"var":"x..y"}`, `{"x":{"y":"a"}}`, "a"},
		{`{"var":1}`, `{"1":"a"}`, "a"}, {`{"var":{"var":"name"}}`, `{"name":"x.y","x":{"y":"b"}}`, "b"}, {`{"var":[1]}`, `{}`, "!"},
		{`{"in":["b","abc"]}`, `{}`, "true"}, {`{"in":[1,"abc"]}`, `{}`, "!"}, {`{"in":[5,[[1,9]]]}`, `{}`, "true"}, {`{"in":["1",[1]]}`, `{}`, "false"},
		{`{"in":[1,["1"]]}`, `{}`, "true"}, {`{"in":["x",null]}`, `{}`, "false"}, {`{"in":[null,[null]]}`, `{}`, "true"},
		{`{"cat":[" a "]}`, `{}`, "?"}, {`{"cat":[" ","a"," "]}`, `{}`, "a"}, {`{"cat":["a",null]}`, `{}`, "a"}, {`{"cat":["a",true]}`, `{}`, "!"}, {`{"cat":[1,""]}`, `{}`, "1"},
		{`{"substr":["xab",1,1]}`, `{}`, "a"}, {`{"substr":["日a",1]}`, `{}`, "a"}, {`{"substr":["ba",-1]}`, `{}`, "a"}, {`{"substr":["a",5]}`, `{}`, "a"}, {`{"substr":["xab",1,-1]}`, `{}`, "a"},
		{`{"substr":["xab",2,-2]}`, `{}`, "!"}, {`{"+":["1","x"]}`, `{}`, "1"}, {`{"+":[1,null]}`, `{}`, "!"}, {`{"-":[-1]}`, `{}`, "1"}, {`{"/":[1,0]}`, `{}`, "!"},
		{`{"%":[-7,4]}`, `{}`, "-3"}, {`{"max":["1",0]}`, `{}`, "1"}, {`{"min":[]}`, `{}`, ""},
		{`{"==":[{"reduce":[[1,2],{"+":[{"var":"accumulator"},{"var":"current"}]},0]},3]}`, `{}`, "true"},
		{`{"reduce":[["x","a"],{"var":"current"},""]}`, `{}`, "a"}, {`{"reduce":[{"var":"none"},{"+":[1]},0]}`, `{}`, "0"}, {`{"reduce":[[1],{"var":"current"},null]}`, `{}`, "!"},
		{`{"all":[[],{"var":""}]}`, `{}`, "false"}, {`{"all":[[1,2],{">":[{"var":""},0]}]}`, `{}`, "true"}, {`{"none":[[],{"var":""}]}`, `{}`, "true"}, {`{"some":[[0,1],{"==":[{"var":""},1]}]}`, `{}`, "true"},
		{`{"all":[[{"ok":true}],{"var":"ok"}]}`, `{}`, "!"}, {`{"some":{"var":"x"}}`, `{"x":[1]}`, "!"}, {`{"all":["x",{"var":""}]}`, `{}`, "false"},
		// filter and none look at the context before they look at the element
		{`{"some":[{"filter":[[{"n":1}],{"==":[{"var":"n"},7]}]},{"!!":[{"var":""}]}]}`, `{"n":7}`, "true"},
		{`{"some":[{"filter":[[{"n":1}],{"==":[{"var":"n"},7]}]},{"!!":[{"var":""}]}]}`, `{}`, "false"},
		{`{"none":[[{"n":1}],{"==":[{"var":"n"},1]}]}`, `{"n":7}`, "true"}, {`{"in":["a",{"map":[[{"n":"a"}],{"var":"n"}]}]}`, `{"n":"b"}`, "true"},
		{`{"missing":["x"]}`, `{"x":1}`, "?"}, {`{"if":[{"missing":["x","y"]},"a","b"]}`, `{"x":1,"y":null}`, "a"}, {`{"if":[{"missing_some":[1,["x","y"]]},"a","b"]}`, `{"x":1}`, "b"},
		{`{"in":["a",{"merge":["a",["b"],[["c"]]]}]}`, `{}`, "true"},
		{`{"starts_with":["abc","ab"]}`, `{}`, "true"}, {`{"starts_with":[1,"1"]}`, `{}`, ""}, {`{"ends_with":["abc"]}`, `{}`, ""},
		{`{"sem_ver":["1.2.3-rc.1","<","1.2.3-rc.1.1"]}`, `{}`, "true"}, {`{"sem_ver":["1.2.3-2","<","1.2.3-10"]}`, `{}`, "true"}, {`{"sem_ver":["1.2.3-10","<","1.2.3-a"]}`, `{}`, "true"},
		{`{"sem_ver":["1.2.3-rc","<","1.2.3"]}`, `{}`, "true"}, {`{"sem_ver":["10.0.0",">","9.0.0"]}`, `{}`, "true"}, {`{"sem_ver":["01.0.0","=","1.0.0"]}`, `{}`, ""}, {`{"sem_ver":["1.0.0-01","=","1.0.0"]}`, `{}`, ""},
		{`{"sem_ver":["V1.2","~","1.2.9"]}`, `{}`, "true"}, {`{"sem_ver":["1.2","^","1"]}`, `{}`, "true"}, {`{"sem_ver":[1.5,">","v1.4.9+x"]}`, `{}`, "true"}, {`{"sem_ver":["vv1","=","1"]}`, `{}`, ""},
		{`{"fractional":[{"var":"none"},["a",1]]}`, `{"targetingKey":"u"}`, "a"}, {`{"fractional":[{"var":"none"},["a",1]]}`, `{"targetingKey":""}`, ""}, {`{"fractional":[["a",1]]}`, `{"targetingKey":5}`, ""},
		{`{"fractional":["k",["a",1]]}`, `{}`, "a"}, {`{"fractional":[5,["a",1]]}`, `{"targetingKey":"u"}`, ""}, {`{"fractional":["k",["a",1.5]]}`, `{}`, ""}, {`{"fractional":["k",["b",-1],["a",null]]}`, `{}`, "a"},
		{`{"fractional":["k",[null,1]]}`, `{}`, ""}, {`{"fractional":["k",[true,1]]}`, `{}`, "true"}, {`{"fractional":["k",["a",2147483647],["b",1]]}`, `{}`, ""}, {`{"fractional":["k",["a",{"var":"w"}],["b",1]]}`, `{"w":0}`, "b"},
		{`{"fractional":[{"merge":["a",1]},["a",1]]}`, `{"targetingKey":"u"}`, "a"}, {`{"fractional":[["nobody",1]]}`, `{"targetingKey":"u"}`, "?"},
		{`{"==":[{"var":"$flagd.flagKey"},"f"]}`, `{"$flagd":{"flagKey":"mine"}}`, "true"}, {`{">":[{"var":"$flagd.timestamp"},1700000000]}`, `{}`, "true"}, {`{"var":""}`, `{}`, "?"},
		{`{"a":1,"b":2}`, `{}`, "?"}, {`"a"`, `{}`, "a"}, {`null`, `{}`, ""}, {`{"$ref":"s"}`, `{}`, "a"}, {`{"$ref":"none"}`, `{}`, "!"},
	} {
		gives(t, `{"a":1,"b":2,"true":3,"false":4,"1":5,"0":6,"-3":7}`, row.rule, row.context, row.want)
	}
}

// gives evaluates a rule beside the segment s. want is a variant, "" for the default, "!" for PARSE_ERROR, "?" for GENERAL.
func gives(t *testing.T, variants, rule, context, want string) {
	t.Helper()
	set, _ := flag.CompileLenient([]byte(`{"flags":{"f":{"state":"ENABLED","variants":` + variants + `,"targeting":` + rule + `}},"$evaluators":{"s":{"if":["a"]}}}`))
	ctx, err := flag.ParseContext([]byte(context))
	if err != nil {
		t.Fatal(err)
	}
	r := set.Evaluate("f", ctx)
	got := r.Variant
	switch r.ErrorCode {
	case flag.ParseError:
		got = "!"
	case flag.General:
		got = "?"
	}
	if got != want {
		t.Errorf("%s for %s gives %q (%s); want %q", rule, context, got, r.ErrorDetails, want)
	}
}
