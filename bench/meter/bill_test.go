package meter_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/bench/meter"
)

// call sends one call through a meter to a cloud that gives that answer, and gives what the meter noted.
func call(t *testing.T, op, body, answer string) meter.Call {
	t.Helper()
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		if !bytes.Contains(asked, []byte(`"ReturnConsumedCapacity":"INDEXES"`)) {
			t.Errorf("the cloud was asked %s", asked)
		}
		fmt.Fprint(w, answer)
	}))
	defer cloud.Close()
	m, err := meter.New(cloud.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, _ := io.ReadAll(response.Body); string(got) != answer {
		t.Errorf("the answer arrived as %s", got)
	}
	calls, err := m.Taken()
	if err != nil || len(calls) != 1 {
		t.Fatalf("noted %v, error %v", calls, err)
	}
	if calls[0].Op != op || calls[0].Service != "dynamodb" {
		t.Errorf("noted %s %s", calls[0].Service, calls[0].Op)
	}
	return calls[0]
}

func TestReadUnits(t *testing.T) {
	item := func(bytes int) string { // "text" is 4 bytes of them
		return fmt.Sprintf(`{"text":{"S":%q}}`, strings.Repeat("x", bytes-4))
	}
	for _, each := range []struct {
		op, body, answer string
		want             float64
	}{
		{"GetItem", `{}`, `{"Item":` + item(4096) + `}`, 0.5},
		{"GetItem", `{"ConsistentRead":true}`, `{"Item":` + item(4096) + `}`, 1},
		{"GetItem", `{"ConsistentRead":true}`, `{"Item":` + item(4097) + `}`, 2},
		{"GetItem", `{"ConsistentRead":true}`, `{}`, 1},
		{"BatchGetItem", `{"RequestItems":{"t":{"ConsistentRead":true,"Keys":[{"pk":{"S":"a"}},{"pk":{"S":"b"}},{"pk":{"S":"c"}}]}}}`,
			`{"Responses":{"t":[` + item(4097) + `,` + item(100) + `]}}`, 4},
		{"BatchGetItem", `{"RequestItems":{"t":{"Keys":[{"pk":{"S":"a"}}]}}}`, `{"Responses":{"t":[` + item(4096) + `]}}`, 0.5},
		{"Query", `{}`, `{"Count":2,"ScannedCount":2,"Items":[` + item(3000) + `,` + item(3000) + `]}`, 1},
		// A number of 5 digits is 4 bytes, a list 3 and one for each element, a boolean 1: 4096 with their names' 3.
		{"GetItem", `{"ConsistentRead":true}`, `{"Item":{"n":{"N":"12345"},"l":{"L":[{"BOOL":true}]},"s":{"S":"` + strings.Repeat("x", 4084) + `"}}}`, 1},
		{"GetItem", `{"ConsistentRead":true}`, `{"Item":{"n":{"N":"12345"},"l":{"L":[{"BOOL":true}]},"s":{"S":"` + strings.Repeat("x", 4085) + `"}}}`, 2},
	} {
		if got := call(t, each.op, each.body, each.answer); got.Reads != each.want {
			t.Errorf("%s %s: %v units, want %v", each.op, each.body, got.Reads, each.want)
		}
	}
}

func TestWriteUnits(t *testing.T) {
	one := call(t, "PutItem", `{}`, `{"ConsumedCapacity":{"CapacityUnits":5,"GlobalSecondaryIndexes":{"a":{"CapacityUnits":2},"b":{"CapacityUnits":1}}}}`)
	if one.Writes != 5 || one.Indexes != 3 {
		t.Errorf("a put: %+v, want 5 units, 3 of the indexes", one)
	}
	both := call(t, "TransactWriteItems", `{}`, `{"ConsumedCapacity":[{"CapacityUnits":4},{"CapacityUnits":2}]}`)
	if both.Writes != 6 {
		t.Errorf("a transaction: %+v, want 6 units", both)
	}
}
