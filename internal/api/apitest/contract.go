package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-cd/slipway/internal/api"
)

// Contract is the API's OpenAPI document as something to hold requests and answers to.
type Contract struct {
	doc      map[string]any
	routes   *http.ServeMux
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema // by their places
}

// operation is one route of the document.
type operation struct {
	place      string // a JSON pointer
	parameters []string
	found      map[string]any
}

const documentURL = "urn:slipway:openapi"

// NewContract reads the document.
func NewContract(document []byte) (*Contract, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	c := &Contract{doc: doc.(map[string]any), routes: http.NewServeMux(), compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(documentURL, doc); err != nil {
		return nil, err
	}
	for _, route := range c.Routes() {
		method, path, _ := strings.Cut(route, " ")
		op := c.operation(method, path)
		c.routes.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) { *w.(*answer).op = *op })
	}
	return c, nil
}

// contract is the one of this program, read once.
var contract = sync.OnceValues(func() (*Contract, error) { return NewContract(api.Document()) })

// Routes lists the document's routes as ServeMux has them, in order.
func (c *Contract) Routes() []string {
	var all []string
	for path, item := range c.doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(all)
	return all
}

func (c *Contract) operation(method, path string) *operation {
	place := "/paths/" + escape(path)
	op := &operation{place: place + "/" + strings.ToLower(method)}
	op.found = c.at(op.place).(map[string]any)
	for _, list := range []string{place, op.place} {
		given, _ := c.at(list).(map[string]any)["parameters"].([]any)
		for i := range given {
			op.parameters = append(op.parameters, c.resolve(fmt.Sprintf("%s/parameters/%d", list, i)))
		}
	}
	return op
}

// escape makes a JSON pointer's segment of a name.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// at gives what stands at a JSON pointer; nil where nothing does.
func (c *Contract) at(pointer string) any {
	var v any = c.doc
	for _, name := range strings.Split(pointer, "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		switch within := v.(type) {
		case map[string]any:
			v = within[name]
		case []any:
			n, err := strconv.Atoi(name)
			if err != nil || n >= len(within) {
				return nil
			}
			v = within[n]
		default:
			return nil
		}
	}
	return v
}

// resolve follows a reference to where it leads.
func (c *Contract) resolve(pointer string) string {
	if object, ok := c.at(pointer).(map[string]any); ok {
		if to, ok := object["$ref"].(string); ok {
			return strings.TrimPrefix(to, "#")
		}
	}
	return pointer
}

// validate holds a value to the schema at a pointer.
func (c *Contract) validate(pointer string, v any) error {
	c.mu.Lock()
	s, ok := c.schemas[pointer]
	if !ok {
		var err error
		if s, err = c.compiler.Compile(documentURL + "#" + strings.NewReplacer("{", "%7B", "}", "%7D", "$", "%24").Replace(pointer)); err != nil {
			c.mu.Unlock()
			return err
		}
		c.schemas[pointer] = s
	}
	c.mu.Unlock()
	return s.Validate(v)
}

// answer finds a request's operation.
type answer struct {
	http.ResponseWriter
	op *operation
}

func (answer) Write(p []byte) (int, error) { return len(p), nil }
func (answer) WriteHeader(int)             {}

// find gives the operation of a request; nil where the document has none.
func (c *Contract) find(r *http.Request) *operation {
	var op operation
	asked := r.Clone(r.Context())
	c.routes.ServeHTTP(&answer{httptest.NewRecorder(), &op}, asked)
	if op.place == "" {
		return nil
	}
	for _, name := range []string{"app", "environment", "id", "key", "keyid", "segment"} {
		r.SetPathValue(name, asked.PathValue(name))
	}
	return &op
}

// T is what a test is told by.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Checked serves h, and fails the test for every answer that the document doesn't have, and for every request that it
// forbids and that was taken all the same.
func Checked(t T, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Helper()
		c, err := contract()
		if err != nil {
			t.Errorf("the OpenAPI document: %v", err)
			h.ServeHTTP(w, r)
			return
		}
		body, readErr := io.ReadAll(r.Body)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{readErr}))
		asked := r.Clone(r.Context()) // h may change its own
		heard := httptest.NewRecorder()
		h.ServeHTTP(heard, r)
		if err := c.Hold(asked, body, heard); err != nil {
			t.Errorf("%s %s\n%.500s\nagainst the OpenAPI document: %v\nanswer %d %v\n%.2000s", r.Method, r.URL, body, err, heard.Code, heard.Header(), heard.Body)
		}
		for name, values := range heard.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(heard.Code)
		_, _ = w.Write(heard.Body.Bytes())
	})
}

// broken ends a body as the one that it stands for did.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) {
	if b.err == nil {
		return 0, io.EOF
	}
	return 0, b.err
}

// Hold compares a request and its answer with the document.
func (c *Contract) Hold(r *http.Request, body []byte, w *httptest.ResponseRecorder) error {
	op := c.find(r)
	if op == nil {
		if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			return errors.New("there is no such route")
		}
		return c.value("/components/schemas/Problem", w.Body.Bytes())
	}
	if err := c.answered(op, w); err != nil {
		return err
	}
	if err := c.asked(op, r, body); err != nil && w.Code < 300 {
		return fmt.Errorf("it forbids what was taken: %w", err)
	}
	return nil
}

// value holds a JSON text to the schema at a pointer.
func (c *Contract) value(pointer string, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return c.validate(pointer, v)
}

// answered checks the status, the headers and the body.
func (c *Contract) answered(op *operation, w *httptest.ResponseRecorder) error {
	place := op.place + "/responses/" + strconv.Itoa(w.Code)
	if c.at(place) == nil {
		place = op.place + "/responses/" + strconv.Itoa(w.Code)[:1] + "XX"
	}
	if place = c.resolve(place); c.at(place) == nil {
		return fmt.Errorf("%s has no answer %d", op.place, w.Code)
	}
	headers, _ := c.at(place + "/headers").(map[string]any)
	for name := range headers {
		if err := c.header(c.resolve(place+"/headers/"+name), name, w.Header()); err != nil {
			return err
		}
	}
	if w.Header().Get("ETag") != "" && headers["ETag"] == nil {
		return errors.New("an ETag that it doesn't speak of")
	}
	content, ok := c.at(place + "/content").(map[string]any)
	if !ok {
		if w.Body.Len() > 0 {
			return fmt.Errorf("%d has no body", w.Code)
		}
		return nil
	}
	media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if content[media] == nil {
		return fmt.Errorf("content type %q", media)
	}
	return c.value(place+"/content/"+escape(media)+"/schema", w.Body.Bytes())
}

func (c *Contract) header(place, name string, given http.Header) error {
	required, _ := c.at(place).(map[string]any)["required"].(bool)
	values := given.Values(name)
	switch {
	case len(values) > 1:
		return fmt.Errorf("%d headers %s", len(values), name)
	case len(values) == 0 && required:
		return fmt.Errorf("no header %s", name)
	case len(values) == 0:
		return nil
	}
	return c.validate(place+"/schema", values[0])
}

// asked checks the parameters and the body.
func (c *Contract) asked(op *operation, r *http.Request, body []byte) error {
	known := map[string]bool{}
	for _, place := range op.parameters {
		p := c.at(place).(map[string]any)
		name := p["name"].(string)
		known[name] = true
		if err := c.parameter(place, p, r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, values := range r.URL.Query() {
		if !known[name] || len(values) > 1 {
			return fmt.Errorf("query %s", name)
		}
	}
	return c.body(op, r, body)
}

func (c *Contract) parameter(place string, p map[string]any, r *http.Request) error {
	name, values := p["name"].(string), []string(nil)
	switch p["in"] {
	case "path":
		values = []string{r.PathValue(name)}
	case "query":
		values = r.URL.Query()[name]
	case "header":
		values = r.Header.Values(name)
	}
	if len(values) == 0 {
		if p["required"] == true {
			return errors.New("is missing")
		}
		return nil
	}
	return c.validate(place+"/schema", plain(c.at(c.resolve(place+"/schema")), strings.TrimSpace(values[0])))
}

// plain reads a parameter's text as its schema's type.
func plain(schema any, text string) any {
	s, _ := schema.(map[string]any)
	switch s["type"] {
	case "integer":
		if _, err := strconv.Atoi(text); err == nil {
			return json.Number(text)
		}
	case "boolean":
		if text == "true" || text == "false" {
			return text == "true"
		}
	}
	return text
}

func (c *Contract) body(op *operation, r *http.Request, body []byte) error {
	given, _ := op.found["requestBody"].(map[string]any)
	if given == nil || len(body) == 0 {
		if given["required"] == true {
			return errors.New("the body is missing")
		}
		return nil
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if given["content"].(map[string]any)[media] == nil {
		return fmt.Errorf("the body's content type %q", media)
	}
	return c.value(op.place+"/requestBody/content/"+escape(media)+"/schema", body)
}
