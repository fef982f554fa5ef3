//! A page of the manual as a terminal shows it.

use std::fmt::Write as _;
use std::mem::take;

use comfy_table::{ContentArrangement, Table, presets};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use textwrap::{WordSeparator, WordSplitter};

/// What sets a piece of text off, as the number of an SGR sequence (ECMA-48, 8.3.117).
const BOLD: &str = "1";
const CYAN: &str = "36";

/// Lays a page out for a terminal of this width, in columns; without colours, code stays between backticks.
pub(crate) fn render(markdown: &str, width_columns: usize, colored: bool) -> String {
    let mut page = Page { width: width_columns.max(40), colored, ..Page::default() };
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.text.trim_end().to_owned() + "\n"
}

#[derive(Default)]
struct Page {
    width: usize,
    colored: bool,
    text: String,
    /// The paragraph, heading or cell that is being read.
    line: String,
    /// One for each list that is open: the number of its next item, if its items have numbers.
    lists: Vec<Option<u64>>,
    /// What stands before the first line of the next paragraph.
    marker: Option<String>,
    table: Option<Rows>,
    code_block: bool,
    link: Option<String>,
}

#[derive(Default)]
struct Rows {
    header: Vec<String>,
    body: Vec<Vec<String>>,
    row: Vec<String>,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code_block => {
                for line in text.lines() {
                    self.write_line(&format!("    {line}"));
                }
            }
            Event::Text(text) => self.line.push_str(&text),
            // A cell is measured by whoever draws the table, who knows nothing of colours.
            Event::Code(code) if self.table.is_some() => self.line.push_str(&code),
            Event::Code(code) if self.colored => self.line.push_str(&self.painted(CYAN, &code)),
            Event::Code(code) => self.line.extend(["`", &code, "`"]),
            Event::SoftBreak => self.line.push(' '),
            Event::HardBreak => self.line.push('\n'),
            Event::Rule => self.write_line(&"─".repeat(self.width)),
            // Marks for whoever runs the commands of a page are nothing to read; the rest is not asked for.
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::CodeBlock(_) => {
                self.flush();
                self.code_block = true;
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => {
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                });
            }
            Tag::Table(_) => self.table = Some(Rows::default()),
            Tag::Strong if self.colored && self.table.is_none() => self.line.extend(["\u{1b}[", BOLD, "m"]),
            Tag::Link { dest_url, .. } => self.link = Some(dest_url.into_string()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let heading = take(&mut self.line);
                let heading = if level == HeadingLevel::H1 { heading.to_uppercase() } else { heading };
                let heading = self.painted(BOLD, &heading);
                self.write_line(&heading);
                self.end_block();
            }
            TagEnd::Paragraph => {
                self.flush();
                self.end_block();
            }
            TagEnd::Item => self.flush(),
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.end_block();
                }
            }
            TagEnd::CodeBlock => {
                self.code_block = false;
                self.end_block();
            }
            TagEnd::Strong if self.colored && self.table.is_none() => self.line.push_str("\u{1b}[0m"),
            TagEnd::Link => self.end_link(),
            TagEnd::TableCell => {
                let cell = take(&mut self.line);
                self.rows().row.push(cell);
            }
            TagEnd::TableHead => {
                let rows = self.rows();
                rows.header = take(&mut rows.row);
            }
            TagEnd::TableRow => {
                let rows = self.rows();
                let row = take(&mut rows.row);
                rows.body.push(row);
            }
            TagEnd::Table => {
                self.write_table();
                self.end_block();
            }
            _ => {}
        }
    }

    fn rows(&mut self) -> &mut Rows {
        self.table.get_or_insert_default()
    }

    /// Another page is called by its command; an address is shown where it is not the text already.
    fn end_link(&mut self) {
        let target = self.link.take().unwrap_or_default();
        if let Some(topic) = target.strip_suffix(".md") {
            let command = format!("tagfleet help {topic}");
            let command = match self.table {
                Some(_) => command,
                None if self.colored => self.painted(CYAN, &command),
                None => format!("`{command}`"),
            };
            let _infallible = write!(self.line, " ({command})");
        } else if target.contains("://") && !self.line.ends_with(&target) {
            let _infallible = write!(self.line, " <{target}>");
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colored { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Writes the paragraph that was read, indented by the lists around it.
    fn flush(&mut self) {
        let line = take(&mut self.line);
        if line.is_empty() {
            return;
        }
        let outer = "  ".repeat(self.lists.len());
        let marker = self.marker.take();
        let hanging = if self.lists.is_empty() { String::new() } else { format!("{outer}  ") };
        let first = marker.map_or_else(|| hanging.clone(), |marker| format!("{outer}{marker}"));
        let options = textwrap::Options::new(self.width)
            .initial_indent(&first)
            .subsequent_indent(&hanging)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .break_words(false);
        let wrapped = textwrap::fill(&line, options);
        self.write_line(&wrapped);
    }

    fn write_table(&mut self) {
        let Some(Rows { header, body, .. }) = self.table.take() else { return };
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(self.width).unwrap_or(u16::MAX))
            .set_header(header)
            .add_rows(body);
        let drawn = table.to_string();
        for line in drawn.lines() {
            self.write_line(line.trim_end());
        }
    }

    fn write_line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn end_block(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::topics::TOPICS;
    use super::*;

    const WIDTH_COLUMNS: usize = 80;

    /// What a terminal of 80 columns shows, topic by topic, for whoever reads them in a session.
    #[test]
    fn the_topics() {
        for topic in TOPICS {
            let mut settings = insta::Settings::clone_current();
            // With all else that people see.
            settings.set_snapshot_path("../../tests/program/shown");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            let page = render(topic.text, WIDTH_COLUMNS, false);
            settings.bind(|| insta::assert_snapshot!(format!("topic-{}", topic.name), page));
        }
    }

    #[test]
    fn nothing_but_commands_and_lines_of_output_is_wider_than_the_terminal() {
        for (topic, width_columns) in TOPICS.iter().flat_map(|topic| [60, 80, 110].map(|width| (topic, width))) {
            for line in render(topic.text, width_columns, false).lines() {
                let is_code = line.starts_with("    ");
                let width = console::measure_text_width(line);
                assert!(is_code || width <= width_columns, "{} at {width_columns}: {width}: {line}", topic.name);
            }
        }
    }

    #[test]
    fn colors_change_no_word_and_no_line() {
        for topic in TOPICS {
            let plain = render(topic.text, WIDTH_COLUMNS, false).replace('`', "");
            let colored = render(topic.text, WIDTH_COLUMNS, true);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert!(words(&console::strip_ansi_codes(&colored)) == words(&plain), "{}: {colored}", topic.name);
            assert!(colored.contains("\u{1b}["), "{}", topic.name);
        }
    }

    #[test]
    fn each_kind_of_block() {
        let table = [
            ("# A title", "A TITLE\n"),
            ("## A title", "A title\n"),
            ("one\ntwo", "one two\n"),
            ("- a\n- b\n\nc", "  - a\n  - b\n\nc\n"),
            ("3. a\n4. b", "  3. a\n  4. b\n"),
            ("```sh\na  b\n```\n", "    a  b\n"),
            ("<!-- not run here -->\nx", "x\n"),
            ("see [quotas](quotas.md)", "see quotas (`tagfleet help quotas`)\n"),
            ("[here](https://example.org)", "here <https://example.org>\n"),
            ("a `b` **c**", "a `b` c\n"),
        ];
        for (markdown, shown) in table {
            assert_eq!(render(markdown, WIDTH_COLUMNS, false), shown, "{markdown}");
        }
        assert_eq!(render("a `b` **c**", WIDTH_COLUMNS, true), "a \u{1b}[36mb\u{1b}[0m \u{1b}[1mc\u{1b}[0m\n");
    }
}
