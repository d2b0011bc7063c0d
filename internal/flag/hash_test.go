package flag_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// A change of any line here moves users between variants. They are frozen.

// TestRing holds MD5(user) mod 100 to what Python's int(hashlib.md5(user).hexdigest(), 16) % 100 gives.
func TestRing(t *testing.T) {
	buckets := map[string]int{"user-1": 20, "user-2": 75, "alice": 0, "bob": 32, "": -1, "日本語": 84, strings.Repeat("x", 100): 66}
	for user, bucket := range buckets {
		for percent := range 101 {
			set := compile(t, fmt.Sprintf(`{"flags":{"f":{"enabled":false,"rollout_percent":%d,"users":[],"bucketing":"ring"}}}`, percent))
			got := set.Evaluate("f", &flag.Context{TargetingKey: user}).Value
			if want := bucket >= 0 && bucket < percent; got != want {
				t.Fatalf("%q at %d %%: %v; want %v", user, percent, got, want)
			}
		}
	}
}

// basic is the testbed's flag of 25 equal buckets.
func basic(t *testing.T, version string) *flag.Set {
	t.Helper()
	var variants, buckets []string
	for i := 1; i <= 25; i++ {
		variants = append(variants, fmt.Sprintf(`"bucket%d":"bucket%d"`, i, i))
		buckets = append(buckets, fmt.Sprintf(`["bucket%d",1]`, i))
	}
	return compile(t, fmt.Sprintf(`{"flags":{"f":{"state":"ENABLED","hashVersion":%q,"variants":{%s},"targeting":{"fractional":[{"var":"hashing_input"},%s]}}}}`,
		version, strings.Join(variants, ","), strings.Join(buckets, ",")))
}

// TestThirdHash holds the vectors that flagd's testbed has for its third hash version.
func TestThirdHash(t *testing.T) {
	set := basic(t, "v3")
	for input, bucket := range map[string]string{
		`true`: "5", `false`: "1", `"user1"`: "22", `"user2"`: "16", `123`: "20", `456`: "12", `1.23`: "14", `4.56`: "18", `"123"`: "22",
		`"true"`: "24", `"null"`: "8", `0`: "8", `-0.0`: "8", `1.0`: "23", `1`: "23", `1.0000000000000001`: "23", `-2`: "12",
		`9007199254740992.0`: "10", `2147483647`: "10", `-2147483648`: "8", `23`: "21", `24`: "11", `255`: "13", `256`: "13",
		`65535`: "4", `65536`: "11", `-24`: "4", `-25`: "16", `1e20`: "19", `-1e20`: "25", `65504.0`: "16", `0.00006103515625`: "22",
		`0.000000059604644775390625`: "23", `3.4028234663852886e+38`: "10", `1.1754943508222875e-38`: "24", `3.5e+38`: "1",
		`1.7976931348623157e+308`: "17", `2.2250738585072014e-308`: "11", `4.9406564584124654e-324`: "2",
		`{"a":1,"b":2}`: "23", `{"b":2,"a":1}`: "23", `{"aa":2,"z":1}`: "21", `{"a":{"b":1},"b":2}`: "9", `{}`: "3", `{"a":{},"b":[]}`: "7",
		`{"a":[1,[],3],"b":null}`: "3", `{"a":true,"bbb":1,"c":"text","dddd":2.5}`: "25", `{"ÿ":2,"aaa":1}`: "12", `{"a":[[[[[]]]]]}`: "15",
		`""`: "4", `"a"`: "6", `"12345678901234567890123"`: "4", `"123456789012345678901234"`: "14", `"あいうえおかきく"`: "16", `"A\\u0000B"`: "15",
	} {
		ctx, err := flag.ParseContext([]byte(`{"hashing_input":` + input + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Evaluate("f", ctx).Variant; got != "bucket"+bucket {
			t.Errorf("%s is in %s; want bucket%s", input, got, bucket)
		}
	}
}

func TestThirdHashWithoutKey(t *testing.T) {
	set := compile(t, `{"flags":{"fractional-flag-shorthand":{"state":"ENABLED","hashVersion":"v3","variants":{"heads":"heads","tails":"tails"},
		"targeting":{"fractional":[["heads"],["tails",1]]}}}}`)
	for user, want := range map[string]string{"user-1": "heads", "user-2": "tails", "user-3": "heads", "": ""} {
		if got := set.Evaluate("fractional-flag-shorthand", &flag.Context{TargetingKey: user}).Variant; got != want {
			t.Errorf("%q gets %q; want %q", user, got, want)
		}
	}
}

// TestSecondHash freezes what flagd core v0.16.1 gives.
func TestSecondHash(t *testing.T) {
	set := basic(t, "v2")
	for input, want := range map[string]string{`"user1"`: "bucket20", `"user2"`: "bucket25", `"jack"`: "bucket20", `""`: "bucket1", `5`: "", `"日本語"`: "bucket17"} {
		ctx, err := flag.ParseContext([]byte(`{"hashing_input":` + input + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Evaluate("f", ctx).Variant; got != want {
			t.Errorf("%s is in %q; want %q", input, got, want)
		}
	}
}

// TestSaltedRollout: the short form's buckets are those of flagd's fractional, and differ from flag to flag.
func TestSaltedRollout(t *testing.T) {
	set := compile(t, `{"flags":{
		"one":{"enabled":false,"rollout_percent":20,"users":["vip"]},
		"two":{"enabled":false,"rollout_percent":20,"users":[]},
		"plain":{"state":"ENABLED","variants":{"on":true,"off":false},"targeting":{"fractional":[{"cat":["one",{"var":"targetingKey"}]},["on",20],["off",80]]}}}}`)
	on, both := 0, 0
	for i := range 10_000 {
		ctx := &flag.Context{TargetingKey: fmt.Sprint("user-", i)}
		one, two := set.Evaluate("one", ctx).Value == true, set.Evaluate("two", ctx).Value == true
		if one != (set.Evaluate("plain", ctx).Value == true) {
			t.Fatalf("user-%d: the short form is not as its long one", i)
		}
		if one {
			on++
		}
		if one && two {
			both++
		}
	}
	if on < 1850 || on > 2150 || both < 300 || both > 500 {
		t.Errorf("%d of 10000 are on at 20 %%, %d of them for both flags; want about 2000 and 400", on, both)
	}
	if set.Evaluate("one", &flag.Context{TargetingKey: "vip"}).Value != true || set.Evaluate("one", nil).Value != false {
		t.Error("a listed user is on, and no user is off")
	}
}
