//! Evaluates flags with flagd's evaluation engine for Rust; see ../python/engine.py for what goes in and comes out. The engine
//! parses a document and applies a rule; what a flag's state and default mean is the provider's (open-feature-flagd 0.3.0), and done here as it does.
use flagd_evaluation_engine::{FeatureFlag, FlagParser, Operator};
use open_feature::EvaluationContext;
use serde_json::{Value, json};
use std::io::Read;

fn ask(operator: &Operator, flag: &FeatureFlag, question: &Value) -> Value {
    if flag.state != "ENABLED" {
        return json!({"error": "FLAG_NOT_FOUND"});
    }
    let mut context = EvaluationContext::default();
    for (name, value) in question["context"].as_object().unwrap() {
        let value = value.as_str().unwrap_or_default();
        context = match name.as_str() {
            "targetingKey" => context.with_targeting_key(value),
            _ => context.with_custom_field(name, value),
        };
    }

    let key = question["key"].as_str().unwrap();
    let variant = match flag.targeting {
        None => None,
        Some(_) => match operator.apply(key, &flag.get_targeting(), &context) {
            Ok(variant) => variant,
            Err(_) => return json!({"error": "PARSE_ERROR"}),
        },
    };
    let reason = match (&flag.targeting, &variant) {
        (None, _) => "STATIC",
        (_, None) => "DEFAULT",
        _ => "TARGETING_MATCH",
    };
    let variant = variant.unwrap_or(flag.default_variant.clone());
    match flag.variants.get(&variant) {
        Some(value) => json!({"value": value, "variant": variant, "reason": reason}),
        None => json!({"error": "GENERAL"}),
    }
}

fn answer(document: &Value) -> Value {
    let parsed = match FlagParser::parse_string(document["document"].as_str().unwrap()) {
        Ok(parsed) => parsed,
        Err(refused) => return json!({"refused": refused.to_string()}),
    };
    let operator = Operator::new();
    let answers: Vec<Value> = document["asks"].as_array().unwrap().iter().map(|question| {
        match parsed.flags.get(question["key"].as_str().unwrap()) {
            Some(flag) => ask(&operator, flag, question),
            None => json!({"error": "FLAG_NOT_FOUND"}),
        }
    }).collect();
    json!({"answers": answers})
}

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let input: Value = serde_json::from_str(&text).unwrap();
    let answers: Vec<Value> = input["documents"].as_array().unwrap().iter().map(answer).collect();
    println!("{}", Value::Array(answers));
}
