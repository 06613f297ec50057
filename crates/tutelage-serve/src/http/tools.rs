//! Tools that a model may call: what it is shown, and calls in what it writes.
//!
//! # Forms of calls that are found
//! - `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` (Hermes, Qwen, SmolLM2; also a list inside), anywhere.
//! - An answer that is nothing but such an object or a list of them, with `arguments` or `parameters` (Llama 3, Mistral).

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tutelage_generate::Grammar;

use super::failure::Failure;
use super::settings::any_seed;

/// A tool that is offered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    kind: String,
    function: Map<String, Value>,
}

/// Whether tools are called.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum ToolChoice {
    Mode(String),
    Named {
        #[serde(rename = "type")]
        kind: String,
        function: NamedFunction,
    },
}

/// A function's name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedFunction {
    name: String,
}

/// Tools of a request, as far as they concern the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools {
    /// What the template is given.
    pub(super) shown: Option<String>,
    names: Vec<String>,
    /// What an answer must be that is a call in any case.
    pub(super) grammar: Option<Grammar>,
    /// Whether several calls are wanted.
    many: bool,
}

impl Tool {
    fn name(&self) -> &str {
        self.function.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// What a call of it is.
    fn schema(&self) -> Value {
        let parameters = self.function.get("parameters").cloned().unwrap_or_else(|| json!({ "type": "object" }));
        json!({
            "type": "object",
            "properties": { "name": { "const": self.name() }, "arguments": parameters },
            "required": ["name", "arguments"],
            "additionalProperties": false,
        })
    }
}

impl Tools {
    /// Works out what is offered and asked for.
    pub(super) fn new(tools: &[Tool], choice: Option<&ToolChoice>, many: bool) -> Result<Self, Failure> {
        if let Some(wrong) = tools.iter().find(|tool| tool.kind != "function" || tool.name().is_empty()) {
            let message = format!("expected objects of type 'function' with a function's name, found '{}'", wrong.kind);
            return Err(Failure::param("tools", message));
        }
        let wanted: Vec<&Tool> = match choice {
            None => Vec::new(),
            Some(ToolChoice::Mode(mode)) => match &mode[..] {
                "none" => return Ok(Self::default()),
                "auto" => Vec::new(),
                "required" if tools.is_empty() => {
                    return Err(Failure::param("tool_choice", "a call is required, but no tools are given"));
                }
                "required" => tools.iter().collect(),
                other => {
                    let message = format!("expected none, auto, required or a function, found '{other}'");
                    return Err(Failure::param("tool_choice", message));
                }
            },
            Some(ToolChoice::Named { kind, function }) => {
                let found: Vec<&Tool> = tools.iter().filter(|tool| tool.name() == function.name).collect();
                if kind != "function" || found.is_empty() {
                    let message = format!("no tool is called '{}'", function.name);
                    return Err(Failure::param("tool_choice", message));
                }
                found
            }
        };
        if tools.is_empty() {
            return Ok(Self::default());
        }
        let shown: Vec<Value> =
            tools.iter().map(|tool| json!({ "type": tool.kind, "function": tool.function })).collect();
        let any_of: Vec<Value> = wanted.iter().map(|tool| tool.schema()).collect();
        Ok(Self {
            shown: Some(Value::Array(shown).to_string()),
            names: tools.iter().map(|tool| tool.name().to_owned()).collect(),
            grammar: (!any_of.is_empty()).then(|| Grammar::JsonSchema(json!({ "anyOf": any_of }))),
            many,
        })
    }

    /// Calls that a JSON text is; nothing if it is not only calls of tools that are offered.
    fn calls(&self, text: &str) -> Option<Vec<Call>> {
        let all = match serde_json::from_str(text.trim()).ok()? {
            Value::Array(all) if !all.is_empty() => all,
            one => vec![one],
        };
        let call = |value: Value| {
            let name = value["name"].as_str()?.to_owned();
            let arguments = value.get("arguments").or_else(|| value.get("parameters"));
            let arguments = match arguments {
                None => "{}".to_owned(),
                // Some models write the arguments as a text.
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            self.names.contains(&name).then(|| Call { id: format!("call_{:016x}", any_seed()), name, arguments })
        };
        all.into_iter().map(call).collect()
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Call {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "type": "function", "function": { "name": self.name, "arguments": self.arguments },
        })
    }
}

const BEGIN: &str = "<tool_call>";
const END: &str = "</tool_call>";

/// What can be shown of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
}

/// Finds calls in an answer as it comes.
#[derive(Debug)]
pub(super) struct Scanner {
    tools: Tools,
    /// What is not decided yet.
    held: String,
    /// Nothing but spaces came so far.
    is_at_start: bool,
    n_calls: usize,
}

impl Scanner {
    pub(super) fn new(tools: &Tools) -> Self {
        Self { tools: tools.clone(), held: String::new(), is_at_start: true, n_calls: 0 }
    }

    /// Whether calls were found.
    pub(super) fn has_calls(&self) -> bool {
        self.n_calls > 0
    }

    /// Takes text; gives what is decided.
    pub(super) fn push(&mut self, text: &str) -> Shown {
        let mut shown = Shown::default();
        if self.tools.names.is_empty() {
            shown.text = text.to_owned();
            return shown;
        }
        self.held.push_str(text);
        // An answer that may be nothing but calls is held to its end.
        if self.is_at_start && self.held.trim_start().starts_with(['{', '[']) {
            return shown;
        }
        while let Some(at) = self.held.find(BEGIN) {
            let Some(end) = self.held[at..].find(END).map(|end| at + end) else { break };
            let inside = self.held[at + BEGIN.len()..end].to_owned();
            let whole = self.held[..end + END.len()].to_owned();
            self.held.drain(..end + END.len());
            match self.tools.calls(&inside) {
                Some(calls) => {
                    // Spaces around calls belong to them.
                    shown.text.push_str(whole[..at].trim_end());
                    self.add(calls, &mut shown);
                }
                None => shown.text.push_str(&whole),
            }
            self.is_at_start = false;
        }
        if !self.held.contains(BEGIN) {
            let begins = |at: usize| BEGIN.starts_with(&self.held[at..]);
            let spaces = self.held.trim_end().len();
            let kept = self.held.char_indices().map(|(at, _)| at).find(|&at| begins(at));
            // Spaces at the end wait for what follows them.
            let keep = kept.map_or(spaces, |at| self.held[..at].trim_end().len());
            let rest = self.held.split_off(keep);
            shown.text.push_str(&std::mem::replace(&mut self.held, rest));
        }
        self.is_at_start &= shown.text.trim().is_empty();
        shown
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self) -> Shown {
        let held = std::mem::take(&mut self.held);
        let mut shown = Shown::default();
        let (before, inside) = match held.find(BEGIN) {
            Some(at) => (&held[..at], &held[at + BEGIN.len()..]),
            None => ("", &held[..]),
        };
        let may_be = self.is_at_start || held.contains(BEGIN);
        match self.tools.calls(inside).filter(|_| may_be) {
            Some(calls) => {
                shown.text = before.trim_end().to_owned();
                self.add(calls, &mut shown);
            }
            // After calls, spaces are nothing.
            None if self.has_calls() && held.trim().is_empty() => {}
            None => shown.text = held,
        }
        shown
    }

    fn add(&mut self, mut calls: Vec<Call>, shown: &mut Shown) {
        if !self.tools.many {
            calls.truncate(usize::from(self.n_calls == 0));
        }
        self.n_calls += calls.len();
        shown.calls.extend(calls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(many: bool) -> Tools {
        let tool: Tool = serde_json::from_value(json!({ "type": "function", "function": { "name": "add" } })).unwrap();
        Tools::new(&[tool], None, many).unwrap()
    }

    /// Text and calls, whatever the parts.
    fn check(many: bool, text: &str, expected_text: &str, expected: &[&str]) {
        let characters: Vec<String> = text.chars().map(String::from).collect();
        for parts in [vec![text.to_owned()], characters] {
            let mut scanner = Scanner::new(&tools(many));
            let mut all: Vec<Shown> = parts.iter().map(|part| scanner.push(part)).collect();
            all.push(scanner.finish());
            let shown: String = all.iter().map(|shown| &shown.text[..]).collect();
            let calls: Vec<String> = all
                .into_iter()
                .flat_map(|shown| shown.calls)
                .map(|call| format!("{}{}", call.name, call.arguments))
                .collect();
            assert_eq!((&shown[..], &calls[..]), (expected_text, &expected.map_strings()[..]), "{text}");
            assert_eq!(scanner.has_calls(), !expected.is_empty());
        }
    }

    trait Strings {
        fn map_strings(&self) -> Vec<String>;
    }

    impl Strings for &[&str] {
        fn map_strings(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn calls_are_found_and_text_is_left() {
        check(true, "It is 3 < 4.", "It is 3 < 4.", &[]);
        let call = r#"<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>"#;
        check(true, call, "", &[r#"add{"a":1}"#]);
        check(true, &format!("Let me see.\n{call}\n{call}\n"), "Let me see.", &[r#"add{"a":1}"#; 2]);
        check(false, &format!("{call}{call}"), "", &[r#"add{"a":1}"#]);
        check(
            true,
            r#"<tool_call>[{"name": "add"}, {"name": "add", "arguments": "x"}]</tool_call>"#,
            "",
            &["add{}", "addx"],
        );
        check(true, r#" {"name": "add", "parameters": {"b": [2]}}"#, "", &[r#"add{"b":[2]}"#]);
        check(true, r#"[{"name": "add", "arguments": {}}]"#, "", &["add{}"]);
        // A call that was cut off at its end, and what is none.
        check(true, r#"<tool_call>{"name": "add", "arguments": {}}"#, "", &["add{}"]);
        for text in
            [r#"<tool_call>{"name": "add""#, r#"<tool_call>{"name": "sub"}</tool_call> x"#, r#"{"a": 1}"#, "[1, 2] "]
        {
            check(true, text, text, &[]);
        }
    }

    #[test]
    fn choices_that_cannot_be_are_refused() {
        let choice = |value: Value| serde_json::from_value::<ToolChoice>(value).unwrap();
        let tool: Tool = serde_json::from_value(json!({ "type": "function", "function": { "name": "add" } })).unwrap();
        let named = choice(json!({ "type": "function", "function": { "name": "add" } }));
        let tools = std::slice::from_ref(&tool);
        assert!(Tools::new(tools, Some(&named), true).unwrap().grammar.is_some());
        assert!(Tools::new(tools, Some(&choice(json!("none"))), true).unwrap().shown.is_none());
        assert!(Tools::new(&[], Some(&named), true).is_err());
        assert!(Tools::new(&[], Some(&choice(json!("required"))), true).is_err());
        assert!(Tools::new(tools, Some(&choice(json!("perhaps"))), true).is_err());
        let nameless: Tool = serde_json::from_value(json!({ "type": "function", "function": {} })).unwrap();
        assert!(Tools::new(&[nameless], None, true).is_err());
    }
}
