//! Rendering, and ids that users cannot forge.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::{Chat, json};
use crate::{TokenError, Tokenizer};

/// Steps of a template: the longest in use take some thousand for a chat of ten messages.
const FUEL: u64 = 5_000_000;
const MAX_RECURSION: usize = 100;
/// Characters that a rendered chat may have.
const MAX_LENGTH: usize = 1 << 26;

/// ChatML, with the names of InternLM2's roles (`system name=<|plugin|>`): for models that bring no template.
pub(crate) const CHATML: &str = "{{ bos_token }}{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] }}\
    {% if message['name'] %}{{ ' name=' + message['name'] }}{% endif %}\
    {{ '\n' + message['content'] + '<|im_end|>' + '\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// A chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

fn raise(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, format!("the template refuses: {message}")))
}

/// HTML's special characters, as markupsafe writes them.
fn escaped(value: Value) -> Value {
    let text = value.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Value::from_safe_string(text.replace('\'', "&#39;").replace('"', "&#34;"))
}

/// The whole chain of an error's causes.
fn explained(error: &Error) -> TokenError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    TokenError::Template(text)
}

impl ChatTemplate {
    /// A template for a tokenizer, whose border tokens it may name.
    ///
    /// # Errors
    /// When it is no template.
    pub fn new(source: &str, tokenizer: &Tokenizer) -> Result<Self, TokenError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| explained(&error))?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(|state, value, method, args| {
            own_method(value, method, args)
                .unwrap_or_else(|| minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args))
        });
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_RECURSION);
        environment.add_filter("tojson", |value: Value, options| json::tojson(&value, options));
        environment.add_function("raise_exception", raise);
        // In Python nothing is no collection.
        environment.add_test("iterable", |value: Value| value.try_iter().is_ok() && !value.is_none());
        for name in ["escape", "e"] {
            environment.add_filter(name, escaped);
        }
        // `{% generation %}` marks what the model says, in training; it renders nothing of its own.
        let source = without_generation_tags(source);
        environment.add_template_owned("chat", source).map_err(|error| explained(&error))?;
        let name = |id| tokenizer.token(id).unwrap_or_default();
        Ok(Self { environment, bos: name(tokenizer.bos()), eos: name(tokenizer.eos()) })
    }

    /// ChatML with InternLM2's roles, for models that bring no template.
    ///
    /// # Errors
    /// Never; as [`Self::new`].
    pub fn chatml(tokenizer: &Tokenizer) -> Result<Self, TokenError> {
        Self::new(CHATML, tokenizer)
    }

    /// The text of a chat.
    ///
    /// # Errors
    /// When the template refuses it, runs too long, or fails.
    pub fn render(&self, chat: &Chat) -> Result<String, TokenError> {
        self.rendered(&chat.messages, chat)
    }

    fn rendered(&self, messages: &Value, chat: &Chat) -> Result<String, TokenError> {
        let mut environment = self.environment.clone();
        let now = chat.now;
        environment.add_function("strftime_now", move |format: String| {
            let time = Timestamp::from_second(now).map(|time| time.to_zoned(TimeZone::UTC));
            let wrong = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}"));
            jiff::fmt::strtime::format(&format, &time.map_err(wrong)?).map_err(wrong)
        });
        let none = Value::from(());
        let context = minijinja::context! {
            messages => messages,
            tools => chat.tools.clone().unwrap_or(none.clone()),
            documents => none,
            add_generation_prompt => chat.add_generation_prompt,
            bos_token => self.bos.clone(),
            eos_token => self.eos.clone(),
        };
        let template = environment.get_template("chat").map_err(|error| explained(&error))?;
        let text = template.render(context).map_err(|error| explained(&error))?;
        if text.len() > MAX_LENGTH {
            return Err(TokenError::Template(format!("the chat becomes {} bytes, more than {MAX_LENGTH}", text.len())));
        }
        Ok(text)
    }

    /// Ids of a chat: control tokens are those that the template writes, and no others. Where messages spell one, a
    /// character that is in no message is put inside before rendering, and taken out of what is encoded as text.
    ///
    /// # Errors
    /// As [`Self::render`]; when the library fails.
    pub fn encode(&self, chat: &Chat, tokenizer: &Tokenizer) -> Result<Vec<u32>, TokenError> {
        let controls = tokenizer.control_tokens();
        let all = format!("{}{}", chat.messages, chat.tools.clone().unwrap_or_default());
        let mark = ('\u{e000}'..='\u{f8ff}').find(|&c| !all.contains(c));
        let mark = mark.ok_or_else(|| TokenError::Template("messages use every private character".to_owned()))?;
        let marked = |value: &Value| broken(value, &controls.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), mark);
        let tools = chat.tools.as_ref().map(marked);
        let text = self.rendered(&marked(&chat.messages), &Chat { tools, ..chat.clone() })?;
        let mut ids = Vec::new();
        let mut rest = &text[..];
        let mut strip_start = false;
        loop {
            let next = controls.iter().filter_map(|control| Some((rest.find(&control.text)?, control)));
            // The first, and of those the longest.
            let next = next.min_by_key(|(at, control)| (*at, std::cmp::Reverse(control.text.len())));
            let mut part = next.map_or(rest, |(at, _)| &rest[..at]);
            if strip_start {
                part = part.trim_start();
            }
            if next.is_some_and(|(_, control)| control.strips_left) {
                part = part.trim_end();
            }
            let plain = part.replace(mark, "");
            if !plain.is_empty() {
                ids.extend(tokenizer.encode(&plain)?);
            }
            let Some((at, control)) = next else { return Ok(ids) };
            ids.push(control.id);
            strip_start = control.strips_right;
            rest = &rest[at + control.text.len()..];
        }
    }
}

/// A value whose texts spell no control token: `mark` is behind the first character of each.
fn broken(value: &Value, controls: &[&str], mark: char) -> Value {
    match value.kind() {
        ValueKind::String => {
            let Some(text) = value.as_str() else { return value.clone() };
            let mut out = text.to_owned();
            for control in controls.iter().filter(|control| !control.is_empty()) {
                if out.contains(control) {
                    let first = control.chars().next().map_or(0, char::len_utf8);
                    out = out.replace(control, &format!("{}{mark}{}", &control[..first], &control[first..]));
                }
            }
            Value::from(out)
        }
        ValueKind::Seq => value.try_iter().into_iter().flatten().map(|item| broken(&item, controls, mark)).collect(),
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            Value::from_pairs(keys.map(|key| {
                let item = value.get_item(&key).unwrap_or_default();
                (key, broken(&item, controls, mark))
            }))
        }
        _ => value.clone(),
    }
}

/// Methods that templates in use call and the library does not have.
fn own_method(value: &Value, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    match (value.kind(), method) {
        (ValueKind::String, "removeprefix" | "removesuffix") => {
            let text = value.as_str()?;
            let (affix,): (&str,) = match from_args(args) {
                Ok(args) => args,
                Err(error) => return Some(Err(error)),
            };
            let left = if method == "removeprefix" { text.strip_prefix(affix) } else { text.strip_suffix(affix) };
            Some(Ok(Value::from(left.unwrap_or(text))))
        }
        _ => None,
    }
}

fn without_generation_tags(source: &str) -> String {
    let mut out = source.to_owned();
    for tag in ["generation", "endgeneration"] {
        for (open, close) in [("{%-", "-%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%", "%}")] {
            // A tag that does nothing, and trims as this one does.
            let nothing = format!("{open} if true {close}{open} endif {close}");
            out = out.replace(&format!("{open} {tag} {close}"), &nothing);
        }
    }
    out
}
