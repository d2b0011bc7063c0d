package pipeline

// HasRule is hasRule, for its own test.
var HasRule = hasRule
