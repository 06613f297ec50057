//! Messages of a chat, as templates expect them.

use serde_json::{Map, Value};

use super::failure::Failure;

/// Messages of one request.
const MOST: usize = 4096;

/// The JSON that templates are given: contents as texts, arguments of calls as objects.
pub(super) fn normalized(messages: Vec<Map<String, Value>>) -> Result<String, Failure> {
    if messages.is_empty() || messages.len() > MOST {
        return Err(Failure::param("messages", format!("from 1 to {MOST} messages, found {}", messages.len())));
    }
    let all = messages.into_iter().enumerate().map(|(at, message)| normalized_one(at, message));
    Ok(Value::Array(all.collect::<Result<_, _>>()?).to_string())
}

fn normalized_one(at: usize, mut message: Map<String, Value>) -> Result<Value, Failure> {
    let fault = |field: &str, found: &str| Failure::param(&format!("messages[{at}].{field}"), found);
    let role = match message.get("role") {
        // Templates know the older name.
        Some(Value::String(role)) if role == "developer" => "system".to_owned(),
        Some(Value::String(role)) => role.clone(),
        _ => return Err(fault("role", "expected a text such as 'user'")),
    };
    let content = match message.remove("content") {
        None | Some(Value::Null) if message.contains_key("tool_calls") => String::new(),
        None | Some(Value::Null) => return Err(fault("content", "is missing")),
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => text_of(parts).map_err(|found| fault("content", &found))?,
        Some(_) => return Err(fault("content", "expected a text, or a list of parts of type 'text'")),
    };
    message.retain(|_, value| !value.is_null());
    message.insert("role".to_owned(), Value::String(role));
    message.insert("content".to_owned(), Value::String(content));
    if let Some(calls) = message.get_mut("tool_calls") {
        let Value::Array(calls) = calls else { return Err(fault("tool_calls", "expected a list")) };
        for call in calls {
            let is_text = |place: &str| call.pointer(place).is_some_and(Value::is_string);
            let whole = ["/id", "/function/name", "/function/arguments"].into_iter().all(is_text);
            if !whole || call["type"] != "function" {
                let found =
                    "expected objects with an id, the type 'function', and a function's name and arguments as texts";
                return Err(fault("tool_calls", found));
            }
            let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) else {
                return Err(fault("tool_calls", "expected objects with a function"));
            };
            // Clients send a text; templates write an object.
            if let Some(Value::String(text)) = function.get("arguments")
                && let Ok(arguments @ Value::Object(_)) = serde_json::from_str(text)
            {
                function.insert("arguments".to_owned(), arguments);
            }
        }
    }
    Ok(Value::Object(message))
}

fn text_of(parts: Vec<Value>) -> Result<String, String> {
    let one = |part: Value| match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        (kind, _) => Err(format!("parts of type '{}' are not taken, only 'text'", kind.unwrap_or("?"))),
    };
    parts.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(messages: &str) -> Result<Value, String> {
        let found = normalized(serde_json::from_str(messages).unwrap());
        found.map(|text| serde_json::from_str(&text).unwrap()).map_err(|failure| failure.json().to_string())
    }

    #[test]
    fn messages_become_what_templates_expect() {
        let found = check(
            r#"[{"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": null, "refusal": null,
                 "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
                {"role": "tool", "tool_call_id": "1", "content": "2"}]"#,
        );
        let expected = r#"[{"role": "system", "content": "ab"},
            {"role": "assistant", "content": "",
             "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]},
            {"role": "tool", "tool_call_id": "1", "content": "2"}]"#;
        assert_eq!(found.unwrap(), serde_json::from_str::<Value>(expected).unwrap());
        for (wrong, place) in [
            ("[]", "messages"),
            (r#"[{"content": "a"}]"#, "messages[0].role"),
            (r#"[{"role": "user"}]"#, "messages[0].content"),
            (r#"[{"role": "user", "content": [{"type": "image_url"}]}]"#, "image_url"),
            (r#"[{"role": "assistant", "content": "", "tool_calls": [{}]}]"#, "messages[0].tool_calls"),
        ] {
            assert!(check(wrong).unwrap_err().contains(place), "{wrong}");
        }
    }
}
