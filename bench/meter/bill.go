package meter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
)

// request is what matters of a call to DynamoDB.
type request struct {
	ConsistentRead bool
	RequestItems   map[string]struct { // of a batch, by table
		ConsistentRead bool
		Keys           []item
	}
}

// ask has the call's answer tell what it consumes.
func ask(r *http.Request) (request, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return request{}, err
	}
	var asked request
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return request{}, err
	}
	_ = json.Unmarshal(text, &asked) // a batch of writes has lists there, and no reads
	all["ReturnConsumedCapacity"] = "INDEXES"
	body, err := json.Marshal(all)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Del("Accept-Encoding") // the answer is read here, too
	return asked, err
}

// answer is what matters of DynamoDB's answer.
type answer struct {
	Item             item
	Items            []item
	Responses        map[string][]item // of a batch, by table
	Count            int
	ScannedCount     int
	ConsumedCapacity capacities
}

type item map[string]value

// value is an attribute's value as DynamoDB's JSON spells it: one of the types, with its content.
type value map[string]json.RawMessage

// capacities are one table's, or several tables' of a transaction.
type capacities []capacity

type capacity struct {
	CapacityUnits          float64
	GlobalSecondaryIndexes map[string]struct{ CapacityUnits float64 }
}

func (c *capacities) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, (*[]capacity)(c))
	}
	*c = make([]capacity, 1)
	return json.Unmarshal(text, &(*c)[0])
}

// bill adds the units. Writes are what the cloud says, which goes by the items' sizes, indexes and transactions. What it
// says of reads does not go by size, so reads are counted here, by the rule: half a unit for each begun 4 KiB of what was
// read, a whole one where the read was consistent.
func (c *Call) bill(asked request, text []byte) error {
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("%s answered %.80q: %w", c.Op, text, err)
	}
	switch c.Op {
	case "GetItem":
		c.Reads = readUnits(a.Item.size(), asked.ConsistentRead)
	case "BatchGetItem": // each item by itself, and one that isn't there as a small one
		for table, keys := range asked.RequestItems {
			found := a.Responses[table]
			for _, each := range found {
				c.Reads += readUnits(each.size(), keys.ConsistentRead)
			}
			c.Reads += float64(len(keys.Keys)-len(found)) * readUnits(0, keys.ConsistentRead)
		}
	case "Query":
		if a.Count != a.ScannedCount {
			return fmt.Errorf("a query read %d items and gave %d: its units can't be told", a.ScannedCount, a.Count)
		}
		size := 0
		for _, each := range a.Items {
			size += each.size()
		}
		c.Reads = readUnits(size, asked.ConsistentRead)
	default:
		for _, each := range a.ConsumedCapacity {
			c.Writes += each.CapacityUnits
			for _, index := range each.GlobalSecondaryIndexes {
				c.Indexes += index.CapacityUnits
			}
		}
	}
	return nil
}

func readUnits(bytes int, consistent bool) float64 {
	units := math.Max(1, math.Ceil(float64(bytes)/4096))
	if consistent {
		return units
	}
	return units / 2
}

// size is what AWS counts: names and values, in bytes.
func (it item) size() int {
	total := 0
	for name, v := range it {
		total += len(name) + v.size()
	}
	return total
}

// size goes by "DynamoDB item sizes and formats": a number takes a byte for each two digits and one more, a list or a map
// 3 bytes and one for each element.
func (v value) size() int {
	for kind, content := range v {
		switch kind {
		case "S", "N", "B":
			var text string
			_ = json.Unmarshal(content, &text) // DynamoDB's answer; anything else counts as nothing
			return scalar(kind, text)
		case "L":
			var list []value
			_ = json.Unmarshal(content, &list)
			total := 3
			for _, each := range list {
				total += 1 + each.size()
			}
			return total
		case "M":
			var m item
			_ = json.Unmarshal(content, &m)
			return 3 + len(m) + m.size()
		}
	}
	return 1 // a boolean, or null
}

func scalar(kind, text string) int {
	switch kind {
	case "N":
		return 1 + (len(strings.Trim(text, "-+.0"))+1)/2
	case "B":
		return base64.StdEncoding.DecodedLen(len(text))
	}
	return len(text)
}
