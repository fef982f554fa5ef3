//! The tags of a tenant, for people and for scripts.

use std::io::{self, Write};

use console::{measure_text_width, truncate_str};
use serde_json::{Value, json};

use crate::input::Excerpt;
use crate::outside::{line_escaped, line_unmistakable};
use crate::plan::tag_list::{ListedTag, TagList};
use crate::words::{counted, group_digits};

/// The columns of the number of machines.
const NUMBER_COLUMNS: usize = 9;
/// The columns of a tag, so that a line fits into 80.
const TAG_COLUMNS: usize = 69;

/// The most others that are named with a tag that differ from it in nothing but case or width.
const LISTED_TWINS: usize = 100;

/// What is said about the tags of a tenant.
pub(crate) struct TagsReport<'a>(pub &'a TagList<'a>);

impl TagsReport<'_> {
    /// What the object for `--json` says, but for the tags.
    pub(crate) fn json(&self) -> Value {
        let Self(list) = self;
        json!({"machines": list.machines, "machines_tagged": list.tagged, "machines_not_shown": list.unshown})
    }

    /// The tags in it, exactly.
    pub(crate) fn json_tags(&self) -> impl Iterator<Item = Value> {
        self.0.alike().flat_map(|alike| {
            alike.iter().map(move |ListedTag { tag, machines }| {
                let twins = alike.iter().map(|twin| twin.tag).filter(|twin| twin != tag).take(LISTED_TWINS);
                json!({"tag": tag, "machines": machines, "twins": twins.collect::<Vec<_>>()})
            })
        })
    }

    /// Writes the text for people: in 80 columns where a terminal shows it, and with each tag whole elsewhere.
    pub(crate) fn write(&self, text: &mut dyn Write, is_for_terminal: bool) -> io::Result<()> {
        let Self(list) = self;
        if list.len() > 0 {
            writeln!(text, "{:>NUMBER_COLUMNS$}  TAG", "MACHINES")?;
        }
        for alike in list.alike() {
            for ListedTag { tag, machines } in alike {
                writeln!(text, "{:>NUMBER_COLUMNS$}  {}", group_digits(*machines), shown(tag, is_for_terminal))?;
            }
            if alike.len() > 1 {
                let all = if alike.len() == 2 { "both".to_owned() } else { format!("these {}", alike.len()) };
                writeln!(text, "{:>NUMBER_COLUMNS$}  {all} differ only in case or width", "")?;
            }
        }
        let tags = counted(list.len() as u64, "tag", "tags");
        let (tagged, all) = (group_digits(list.tagged), counted(list.machines, "machine", "machines"));
        writeln!(text, "{tags} on {tagged} of {all}.")?;
        if list.unshown > 0 {
            let machines = counted(list.unshown, "machine", "machines");
            writeln!(text, "The service did not show the tags of {machines}.")?;
        }
        Ok(())
    }
}

/// A tag in its columns. One with blanks at an end would look like another, so it stands in quotation marks.
fn shown(tag: &str, is_for_terminal: bool) -> String {
    let tag = line_unmistakable(tag);
    let excerpt = if is_for_terminal { Excerpt::new(&tag).to_string() } else { line_escaped(&tag).into_owned() };
    let is_padded = excerpt.trim() != excerpt;
    let shown = if is_padded { format!("\"{excerpt}\"") } else { excerpt };
    if !is_for_terminal || measure_text_width(&shown) <= TAG_COLUMNS {
        shown
    } else {
        truncate_str(&shown, TAG_COLUMNS, "…").into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list<'a>(tags: &[(&'a str, u64)]) -> TagList<'a> {
        TagList::new(
            tags.iter().map(|(tag, machines)| ListedTag { tag, machines: *machines }).collect(),
            10_120,
            9_000,
            12,
        )
    }

    fn text(list: &TagList<'_>, is_for_terminal: bool) -> String {
        let mut text = Vec::new();
        TagsReport(list).write(&mut text, is_for_terminal).expect("a vector takes all");
        String::from_utf8(text).expect("a text")
    }

    #[test]
    fn the_text_fits_into_a_terminal_whatever_tags_hold() {
        let (long, wide) = ("x".repeat(200), "漢".repeat(200));
        let list = list(&[
            ("MARKETING", 3),
            ("Marketing", 1204),
            ("Tier 0 ", 2),
            ("a\u{1b}[31m\u{200b}", 1),
            (&long, 1),
            (&wide, 1),
        ]);
        assert!(text(&list, false).contains(&format!("1  {long}\n")), "nothing is cut for other programs");
        let text = text(&list, true);
        insta::assert_snapshot!(text, @r#"
         MACHINES  TAG
                1  a\u{1b}[31m\u{200b}
            1,204  Marketing
                3  MARKETING
                   both differ only in case or width
                2  "Tier 0 "
                1  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
                1  漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢…
        6 tags on 9,000 of 10,120 machines.
        The service did not show the tags of 12 machines.
        "#);
        assert!(text.lines().all(|line| measure_text_width(line) <= 80), "{text}");
    }

    #[test]
    fn scripts_get_tags_exactly() {
        let list = list(&[("A\u{1b}[31m ", 1), ("a\u{1b}[31m ", 2)]);
        let tags: Vec<Value> = TagsReport(&list).json_tags().collect();
        assert_eq!(tags[0], json!({"tag": "a\u{1b}[31m ", "machines": 2, "twins": ["A\u{1b}[31m "]}));
        assert_eq!(tags[1]["twins"], json!(["a\u{1b}[31m "]));
    }
}
