package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Bounds on a file. The parser takes time that grows with the square of a map's keys and stack that grows with the
// depth, so both are held far over what a real file needs and far under what hurts.
const (
	MaxBytes  = 256 << 10
	maxTokens = 20_000
	maxDepth  = 32
)

// parse reads one YAML document of plain values: no anchors, aliases, tags, directives or merge keys, which a reader has
// to resolve in his head and which can blow a small file up. It gives nil for an empty file. The error is Invalid.
func parse(file string, data []byte) (ast.Node, error) {
	if len(data) > MaxBytes {
		return nil, deploy.FieldErrorf(file, "%d bytes; want at most %d", len(data), MaxBytes)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, firstInvalid(data).errorf(file, "not UTF-8; want the file saved as UTF-8")
	}
	// The lexer doesn't fold CRLF in a quoted value. Positions stay the same, since only the ends of lines change.
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	tokens := tokenize(data)
	if err := vet(file, tokens); err != nil {
		return nil, err
	}
	// Duplicate keys are the reader's to refuse: it says where the first one is.
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(file, err)
	}
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			return doc.Body, nil
		}
	}
	return nil, nil
}

// tokenize runs the lexer. It adds a line break to a file that ends without one: in a block, the lexer would misread the file's last
// character. The break doesn't become part of the block.
func tokenize(data []byte) token.Tokens {
	if last := data[bytes.LastIndexByte(data, '\n')+1:]; len(bytes.TrimLeft(last, " ")) == 0 {
		return lexer.Tokenize(string(data))
	}
	tokens := lexer.Tokenize(string(data) + "\n")
	if n := len(tokens); n > 0 && blockHeader(tokens[n-1]) != nil {
		tokens[n-1].Value = strings.TrimSuffix(tokens[n-1].Value, "\n")
	}
	return tokens
}

func syntaxError(file string, err error) error {
	var fault yaml.Error
	if errors.As(err, &fault) && fault.GetToken() != nil {
		return at(fault.GetToken()).errorf(file, "%s; want YAML", fault.GetMessage())
	}
	return deploy.FieldErrorf(file, "%s; want YAML", deploy.Cut(err.Error(), 200))
}

// foreign are the tokens of YAML that a file may not use.
var foreign = map[token.Type]string{
	token.AnchorType:     "an anchor (&); want the value written out, or text in quotes",
	token.AliasType:      "an alias (*); want the value written out, or text in quotes",
	token.TagType:        "a tag (!); want a plain value, or text in quotes",
	token.DirectiveType:  "a directive (%); want keys and values only",
	token.MergeKeyType:   "a merge key (<<); want the keys written out",
	token.MappingKeyType: "a key behind a ?; want key: value",
}

// vet refuses by its tokens what the parser had better not see.
func vet(file string, tokens token.Tokens) error {
	var depth nesting
	seen, ended := 0, false
	for _, tk := range tokens {
		if tk.Type == token.CommentType {
			continue
		}
		if why, ok := foreign[tk.Type]; ok {
			return at(tk).errorf(file, "%s", why)
		}
		if ended || tk.Type == token.DocumentHeaderType && seen > 0 {
			return at(tk).errorf(file, "a second document; want one")
		}
		ended = tk.Type == token.DocumentEndType
		if seen++; seen > maxTokens {
			return at(tk).errorf(file, "over %d words and signs; want fewer", maxTokens)
		}
		if err := checkTabs(file, tk); err != nil {
			return err
		}
		if depth.add(tk) > maxDepth {
			return at(tk).errorf(file, "nested over %d deep; want less", maxDepth)
		}
	}
	return nil
}

// checkTabs refuses a TAB that the lexer misreads. In a plain value it leaves out each TAB between other characters; those at either
// end of a line are not part of the value. If a block begins with a TAB, the lexer reads only its first line.
func checkTabs(file string, tk *token.Token) error {
	if tk.Type == token.SingleQuoteType || tk.Type == token.DoubleQuoteType {
		return nil
	}
	if header := blockHeader(tk); header != nil {
		if strings.HasPrefix(strings.TrimLeft(tk.Origin, " \r\n"), "\t") {
			return at(header).errorf(file, `the block begins with a TAB and can't be read; want spaces, or the value in double quotes with \t`)
		}
		return nil
	}
	for line := range strings.Lines(tk.Origin) {
		if strings.Contains(strings.TrimSpace(line), "\t") {
			return at(tk).errorf(file, "a TAB in a plain value is lost; want the value in quotes or in a block (|)")
		}
	}
	return nil
}

// blockHeader returns the | or > whose text the token is, nil if it is no block's text.
func blockHeader(tk *token.Token) *token.Token {
	header := tk.Prev
	for header != nil && header.Type == token.CommentType {
		header = header.Prev
	}
	if header != nil && (header.Type == token.LiteralType || header.Type == token.FoldedType) {
		return header
	}
	return nil
}

// nesting counts how deep a token stands: brackets, and columns from which lists and keys hang.
type nesting struct {
	brackets int
	columns  []int
}

func (n *nesting) add(tk *token.Token) int {
	column := tk.Position.Column
	switch tk.Type {
	case token.SequenceStartType, token.MappingStartType:
		n.brackets++
	case token.SequenceEndType, token.MappingEndType:
		n.brackets = max(0, n.brackets-1)
	case token.MappingValueType, token.SequenceEntryType:
		if tk.Type == token.MappingValueType && tk.Prev != nil {
			column = tk.Prev.Position.Column
		}
		if n.brackets > 0 {
			break
		}
		for len(n.columns) > 0 && n.columns[len(n.columns)-1] >= column {
			n.columns = n.columns[:len(n.columns)-1]
		}
		n.columns = append(n.columns, column)
	}
	return n.brackets + len(n.columns)
}

func at(tk *token.Token) place { return place{tk.Position.Line, max(1, tk.Position.Column)} }

// placeOf gives a node's first character; the parser's own token of a block map is its first colon.
func placeOf(n ast.Node) place {
	switch node := n.(type) {
	case *ast.MappingNode:
		if !node.IsFlowStyle && len(node.Values) > 0 {
			return placeOf(node.Values[0])
		}
	case *ast.MappingValueNode:
		return at(node.Key.GetToken())
	}
	return at(n.GetToken())
}

func firstInvalid(data []byte) place {
	p := place{1, 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return p
		case r == '\n':
			p = place{p.line + 1, 1}
		default:
			p.column++
		}
		data = data[size:]
	}
	return p
}

// describe says what a node is, for "…; want …".
func describe(n ast.Node) string {
	switch node := n.(type) {
	case *ast.NullNode:
		return "nothing is here"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return fmt.Sprintf("%s is a number", deploy.Cut(n.GetToken().Value, 40))
	case *ast.BoolNode:
		return node.Token.Value + " is a truth value"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode:
		return "a map"
	case *ast.StringNode:
		return fmt.Sprintf("%q is text", deploy.Cut(node.Value, 40))
	}
	return "a " + strings.ToLower(n.Type().String())
}

// wanted says what a shape has room for, as close to what is there as it can.
func wanted(n ast.Node, s *shape) string {
	switch n.(type) {
	case *ast.NullNode:
		return want[s.kind] + ", or the line left out"
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if s.kind == text {
			return fmt.Sprintf("text: %q", deploy.Cut(n.GetToken().Value, 40))
		}
		if s.kind == whole {
			return "a whole number in plain digits, like 60"
		}
	}
	if s.bare != "" {
		return "text or a map"
	}
	return want[s.kind]
}
