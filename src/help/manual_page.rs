//! A topic as a page of the system's manual, in the macros of `man`, as in `groff_man(7)`.

use std::mem::take;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use roff::{Inline, Roff, bold, italic, roman};

use super::topics::{MANUAL_DATE, Topic};

/// Lays a topic out as the page `tagfleet-TOPIC(7)`. A table becomes a list: what stands in a row's first cell, and under it
/// the others.
pub(crate) fn manual_page(topic: &Topic) -> String {
    let (name, source) = (format!("tagfleet-{}", topic.name), format!("tagfleet {}", env!("CARGO_PKG_VERSION")));
    let mut page = Page { after_heading: true, ..Page::default() };
    let title = name.to_uppercase();
    page.roff.control("TH", [title.as_str(), "7", MANUAL_DATE, source.as_str(), "tagfleet"]);
    page.roff.control("SH", ["NAME"]).text([roman(format!("{name} - {}", topic.summary))]);
    page.roff.control("SH", ["DESCRIPTION"]);
    for event in Parser::new_ext(topic.text, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.roff.render()
}

#[derive(Default)]
struct Page {
    roff: Roff,
    line: Vec<Inline>,
    /// How a piece of text is set off that is between two marks.
    emphasis: Option<fn(String) -> Inline>,
    /// One for each list that is open: the number of its next item, if its items have numbers.
    lists: Vec<Option<u64>>,
    link: Option<String>,
    code_block: bool,
    header: Vec<Vec<Inline>>,
    row: Vec<Vec<Inline>>,
    /// Whether a heading stands right above, after which a paragraph needs no space.
    after_heading: bool,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code_block => {
                for line in text.lines() {
                    self.roff.text([roman(line)]);
                }
            }
            Event::Text(text) => self.line.push(self.emphasis.unwrap_or(roman)(text.into_string())),
            Event::Code(code) => self.line.push(bold(code.into_string())),
            Event::SoftBreak => self.line.push(roman(" ")),
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph if self.lists.is_empty() && !take(&mut self.after_heading) => {
                self.roff.control("PP", []);
            }
            Tag::CodeBlock(_) => {
                self.code_block = true;
                if !take(&mut self.after_heading) {
                    self.roff.control("PP", []);
                }
                self.roff.control("RS", ["4"]).control("nf", []);
            }
            Tag::List(first) => {
                self.flush();
                if !self.lists.is_empty() {
                    self.roff.control("RS", []);
                }
                self.lists.push(first);
            }
            Tag::Item => {
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}.", *number - 1)
                    }
                    _ => "\\(bu".to_owned(),
                };
                self.roff.control("IP", [marker.as_str(), "4"]);
            }
            Tag::Strong => self.emphasis = Some(bold),
            Tag::Emphasis => self.emphasis = Some(italic),
            Tag::Link { dest_url, .. } => self.link = Some(dest_url.into_string()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            // The title of the page says it already.
            TagEnd::Heading(HeadingLevel::H1) => self.line.clear(),
            TagEnd::Heading(_) => {
                let words = take(&mut self.line).into_iter().map(plain).collect::<String>().to_uppercase();
                self.roff.control("SH", [words.as_str()]);
                self.after_heading = true;
            }
            TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.roff.control("RE", []);
                }
            }
            TagEnd::CodeBlock => {
                self.code_block = false;
                self.roff.control("fi", []).control("RE", []);
            }
            TagEnd::Strong | TagEnd::Emphasis => self.emphasis = None,
            TagEnd::Link => {
                let target = self.link.take().unwrap_or_default();
                if let Some(topic) = target.strip_suffix(".md") {
                    self.line.extend([roman(" ("), bold(format!("tagfleet-{topic}")), roman("(7))")]);
                }
            }
            TagEnd::TableCell => self.row.push(take(&mut self.line)),
            TagEnd::TableHead => self.header = take(&mut self.row),
            TagEnd::TableRow => self.write_row(),
            _ => {}
        }
    }

    fn flush(&mut self) {
        let line = take(&mut self.line);
        if !line.is_empty() {
            self.roff.text(line);
        }
    }

    /// A row: its first cell, and the others with the names of their columns where there are several.
    fn write_row(&mut self) {
        let mut cells = take(&mut self.row).into_iter();
        let mut first = cells.next().unwrap_or_default();
        // A tag that looks like a sentence is set off from its text.
        first = first
            .into_iter()
            .map(|inline| if let Inline::Roman(text) = inline { italic(text) } else { inline })
            .collect();
        self.roff.control("TP", []).text(first);
        let rest: Vec<(String, Vec<Inline>)> = cells
            .zip(self.header.iter().skip(1))
            .filter(|(cell, _)| !cell.is_empty())
            .map(|(cell, name)| (name.iter().cloned().map(plain).collect(), cell))
            .collect();
        let is_one = self.header.len() == 2;
        if rest.is_empty() {
            self.roff.text([roman("\u{2013}")]);
        }
        for (position, (name, cell)) in rest.into_iter().enumerate() {
            if position > 0 {
                self.roff.control("br", []);
            }
            let mut line = if is_one { Vec::new() } else { vec![roman(format!("{name}: "))] };
            line.extend(cell);
            self.roff.text(line);
        }
    }
}

fn plain(inline: Inline) -> String {
    match inline {
        Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text,
        Inline::LineBreak => " ".to_owned(),
    }
}
