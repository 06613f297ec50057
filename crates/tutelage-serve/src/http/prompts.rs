//! Prompts as they may be sent: a text, token ids, or lists of either.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::app::Model;
use super::failure::Failure;

/// One prompt.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum OnePrompt {
    Text(String),
    Ids(Vec<u32>),
}

/// What was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prompts(pub(super) Vec<OnePrompt>);

/// An element of a list: a text, an id, or a list of ids. Read one by one, so that a long list takes no more than its ids.
enum Element {
    Text(String),
    Id(u32),
    Ids(Vec<u32>),
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a token's id, or a list of ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Element, E> {
        u32::try_from(id).map(Element::Id).map_err(|_| E::custom(format!("{id} is no token's id")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Element, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = list.next_element()? {
            ids.push(id);
        }
        Ok(Element::Ids(ids))
    }
}

impl<'de> DeserializeSeed<'de> for ElementVisitor {
    type Value = Element;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Element, D::Error> {
        deserializer.deserialize_any(self)
    }
}

struct PromptsVisitor;

impl<'de> Visitor<'de> for PromptsVisitor {
    type Value = Prompts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a list of texts, a list of token ids, or a list of such lists")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Prompts, E> {
        Ok(Prompts(vec![OnePrompt::Text(text.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompts, A::Error> {
        let (mut prompts, mut ids) = (Vec::new(), Vec::new());
        while let Some(element) = list.next_element_seed(ElementVisitor)? {
            match element {
                Element::Text(text) => prompts.push(OnePrompt::Text(text)),
                Element::Ids(ids) => prompts.push(OnePrompt::Ids(ids)),
                Element::Id(id) => ids.push(id),
            }
            if !prompts.is_empty() && !ids.is_empty() {
                return Err(A::Error::custom("ids and prompts are mixed in one list"));
            }
        }
        if !ids.is_empty() {
            prompts.push(OnePrompt::Ids(ids));
        }
        match prompts.is_empty() {
            true => Err(A::Error::custom("the list is empty")),
            false => Ok(Prompts(prompts)),
        }
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptsVisitor)
    }
}

impl Prompts {
    /// Ids of all prompts, of which there may be so many.
    pub(super) async fn ids(&self, model: &Arc<Model>, most: usize, param: &str) -> Result<Vec<Vec<u32>>, Failure> {
        if self.0.len() > most {
            return Err(Failure::param(param, format!("{} prompts; at most {most} at once", self.0.len())));
        }
        let mut all = Vec::with_capacity(self.0.len());
        for prompt in &self.0 {
            all.push(match prompt {
                OnePrompt::Text(text) => model.encode(text.clone(), true).await?,
                OnePrompt::Ids(ids) => ids.clone(),
            });
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_prompt_is_read() {
        let text = |text: &str| OnePrompt::Text(text.to_owned());
        for (json, expected) in [
            (r#""a""#, vec![text("a")]),
            (r#"["a", "b"]"#, vec![text("a"), text("b")]),
            ("[1, 2]", vec![OnePrompt::Ids(vec![1, 2])]),
            ("[[1], [2, 3]]", vec![OnePrompt::Ids(vec![1]), OnePrompt::Ids(vec![2, 3])]),
            (r#"["a", [1]]"#, vec![text("a"), OnePrompt::Ids(vec![1])]),
        ] {
            assert_eq!(serde_json::from_str::<Prompts>(json).unwrap(), Prompts(expected));
        }
        for wrong in ["[]", "1", "{}", "[1, \"a\"]", "[\"a\", 1]", "[-1]", "[1.5]", "[4294967296]", "[[[1]]]", "true"] {
            assert!(serde_json::from_str::<Prompts>(wrong).is_err(), "{wrong}");
        }
    }
}
