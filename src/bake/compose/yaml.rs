//! Reads YAML: anchors, aliases, merge keys, and compose's tags `!reset` and `!override`.
//!
//! The parser delivers events, and an own stack builds the tree, so that no input overflows the machine's stack. An alias is a copy of
//! its anchor's tree; the budget limits all copies together.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::node::{Data, Map, Node};
use super::scalar;
use super::tag::{Mark, mark, tagged};
use crate::budget::Budget;
use crate::{Error, Place, Source};

/// The depth of nested lists and mappings. Compose files need about ten.
const MAX_DEPTH: usize = 100;

/// A document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    /// The paths of the nodes with `!reset` or `!override`: what earlier files define there is dropped.
    pub(crate) resets: Vec<Vec<String>>,
}

/// Reads all documents of a file.
pub(crate) fn parse(source: &Rc<Source>, budget: &Budget) -> Result<Vec<Document>, Error> {
    let mut parser = Parser::new_from_str(&source.text);
    let mut documents = Vec::new();
    let mut builder = Builder::new(source, budget);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let start = error.marker().byte_offset().unwrap_or(source.text.len());
            Error::at(
                Place::new(source, start..start),
                format!("invalid YAML: {}", error.info()),
            )
        })?;
        budget.step()?;
        match event {
            Event::DocumentStart(..) => builder = Builder::new(source, budget),
            Event::DocumentEnd => documents.extend(builder.finish()),
            event => builder.event(event, span)?,
        }
    }
    Ok(documents)
}

/// A list or mapping that has not ended.
struct Frame {
    content: Content,
    anchor: usize,
    mark: Mark,
    place: Place,
    /// The number of resets when the collection started.
    first_reset: usize,
}

enum Content {
    List(Vec<Node>, usize),
    Map(Entries),
}

#[derive(Default)]
struct Entries {
    map: Map,
    /// The key whose value comes next, with its place.
    key: Option<Key>,
    keys: BTreeSet<String>,
    /// The values of `<<`.
    merges: Vec<Node>,
}

struct Key {
    text: String,
    is_merge: bool,
}

/// A node with an anchor.
struct Anchor {
    node: Option<Node>,
    /// The paths of marks, relative to the node.
    resets: Vec<Vec<String>>,
    mark: Mark,
}

struct Builder<'a> {
    source: &'a Rc<Source>,
    budget: &'a Budget,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Anchor>,
    resets: Vec<Vec<String>>,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Rc<Source>, budget: &'a Budget) -> Self {
        Self {
            source,
            budget,
            frames: Vec::new(),
            anchors: BTreeMap::new(),
            resets: Vec::new(),
            root: None,
        }
    }

    fn finish(&mut self) -> Option<Document> {
        Some(Document {
            root: self.root.take()?,
            resets: std::mem::take(&mut self.resets),
        })
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Error> {
        let range = span.byte_range().unwrap_or(0..0);
        let place = Place::new(self.source, range);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.bytes(text.len() + size_of::<Node>())?;
                self.scalar(&text, style, anchor, tag.as_deref(), &place)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let content = Content::List(Vec::new(), 0);
                self.start(content, anchor, tag.as_deref(), place)
            }
            Event::MappingStart(_, anchor, tag) => {
                let content = Content::Map(Entries::default());
                self.start(content, anchor, tag.as_deref(), place)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, &place),
            _ => Ok(()),
        }
    }

    /// Whether the next node is the key of a mapping.
    fn is_key(&self) -> bool {
        let content = self.frames.last().map(|frame| &frame.content);
        matches!(content, Some(Content::Map(entries)) if entries.key.is_none())
    }

    /// The path of the next node.
    fn path(&self) -> Vec<String> {
        let parts = self.frames.iter().filter_map(|frame| match &frame.content {
            Content::List(_, index) => Some(index.to_string()),
            Content::Map(entries) => entries
                .key
                .as_ref()
                .filter(|key| !key.is_merge)
                .map(|key| key.text.clone()),
        });
        parts.collect()
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: &Place,
    ) -> Result<(), Error> {
        let is_plain = style == ScalarStyle::Plain;
        let mark = mark(tag);
        let data = match tag {
            Some(tag) => tagged(text, is_plain, tag)
                .ok_or_else(|| Error::at(place.clone(), format!("`{text}` is not a {tag}")))?,
            None if is_plain => scalar::plain(text),
            None => Data::Text(text.to_owned()),
        };
        let node = Node::new(data, place);
        if anchor != 0 {
            let anchored = Anchor {
                node: Some(node.clone()),
                resets: Vec::new(),
                mark,
            };
            self.anchors.insert(anchor, anchored);
        }
        if self.is_key() {
            let is_merge = is_plain && tag.is_none() && text == "<<";
            return self.key(&node, text, is_merge);
        }
        self.value(node, mark)
    }

    fn key(&mut self, node: &Node, raw: &str, is_merge: bool) -> Result<(), Error> {
        let Some(Content::Map(entries)) = self.frames.last_mut().map(|frame| &mut frame.content)
        else {
            return Ok(());
        };
        let Some(text) = node.as_text() else {
            return Err(node.error(format!(
                "the key `{raw}` is {}: quote it to make it text",
                node.kind()
            )));
        };
        if !entries.keys.insert(raw.to_owned()) {
            return Err(node.error(format!("duplicate key `{raw}`")));
        }
        entries.key = Some(Key {
            text: text.to_owned(),
            is_merge,
        });
        Ok(())
    }

    fn start(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<(), Error> {
        if self.is_key() {
            return Err(Error::at(place, "a key must be text"));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(Error::at(place, "the file is nested too deeply"));
        }
        self.budget.bytes(size_of::<Frame>())?;
        let mark = mark(tag);
        if anchor != 0 {
            let open = Anchor {
                node: None,
                resets: Vec::new(),
                mark,
            };
            self.anchors.insert(anchor, open);
        }
        self.frames.push(Frame {
            content,
            anchor,
            mark,
            place,
            first_reset: self.resets.len(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let data = match frame.content {
            Content::List(list, _) => Data::List(list),
            Content::Map(entries) => Data::Map(merged(entries, self.budget)?),
        };
        if frame.mark != Mark::None {
            // Marks inside of a marked node mean nothing: all of it is new.
            self.resets.truncate(frame.first_reset);
        }
        let node = Node::new(data, &frame.place);
        if frame.anchor != 0 {
            let depth = self.path().len();
            let inner = self.resets.iter().skip(frame.first_reset);
            let anchored = Anchor {
                node: Some(node.copy(self.budget)?),
                resets: inner
                    .map(|path| path.iter().skip(depth).cloned().collect())
                    .collect(),
                mark: frame.mark,
            };
            self.anchors.insert(frame.anchor, anchored);
        }
        self.value(node, frame.mark)
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Result<(), Error> {
        let anchor = self.anchors.get(&anchor);
        let Some((anchor, node)) = anchor.and_then(|anchor| Some((anchor, anchor.node.as_ref()?)))
        else {
            return Err(Error::at(
                place.clone(),
                "an alias inside of its own anchor",
            ));
        };
        let node = node
            .copy(self.budget)
            .map_err(|error| error.or_at(|| place.clone()))?;
        let mark = anchor.mark;
        if self.is_key() {
            let text = node.to_string();
            return self.key(&node, &text, false);
        }
        let path = self.path();
        for relative in &anchor.resets {
            let reset: Vec<String> = path.iter().chain(relative).cloned().collect();
            self.budget.bytes(reset.iter().map(String::len).sum())?;
            self.resets.push(reset);
        }
        self.value(node, mark)
    }

    /// Adds the value to the list or mapping around it.
    fn value(&mut self, node: Node, mark: Mark) -> Result<(), Error> {
        if mark != Mark::None {
            let path = self.path();
            self.budget.bytes(path.iter().map(String::len).sum())?;
            self.resets.push(path);
        }
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            None if mark != Mark::Reset => self.root = Some(node),
            None => {}
            Some(Content::List(list, index)) => {
                *index += 1;
                if mark != Mark::Reset {
                    list.push(node);
                }
            }
            Some(Content::Map(entries)) => {
                let Some(key) = entries.key.take() else {
                    return Ok(());
                };
                if mark == Mark::Reset {
                } else if key.is_merge {
                    entries.merges.push(node);
                } else {
                    entries.map.insert(key.text, node);
                }
            }
        }
        Ok(())
    }
}

/// The entries, then those of `<<` that are new.
fn merged(entries: Entries, budget: &Budget) -> Result<Map, Error> {
    let mut map = entries.map;
    for merge in entries.merges {
        let place = merge.place.clone();
        let parts = match merge.data {
            Data::List(list) => list,
            data => vec![Node { data, place }],
        };
        for part in parts {
            budget.step()?;
            let Data::Map(other) = part.data else {
                return Err(Error::at(
                    part.place,
                    "`<<` needs a mapping or a list of mappings",
                ));
            };
            for (key, node) in other {
                budget.step()?;
                map.entry(key).or_insert(node);
            }
        }
    }
    Ok(map)
}
