//! The tags of a tenant, for people and for scripts.

use std::fmt::Write as _;

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

/// What is said about the tags of a tenant.
pub(crate) struct TagsReport<'a>(pub &'a TagList<'a>);

impl TagsReport<'_> {
    /// What the object for `--json` says: the tags exactly.
    pub(crate) fn json(&self) -> Value {
        let Self(list) = self;
        let tag = |one: &ListedTag<'_>| json!({"tag": one.tag, "machines": one.machines, "twins": one.twins});
        json!({
            "machines": list.machines,
            "machines_tagged": list.tagged,
            "machines_not_shown": list.unshown,
            "tags": list.tags.iter().map(tag).collect::<Vec<_>>(),
        })
    }

    /// The text for people: in 80 columns where a terminal shows it, and with each tag whole elsewhere.
    pub(crate) fn text(&self, is_for_terminal: bool) -> String {
        let Self(list) = self;
        let mut text = String::new();
        // Writing into a string cannot fail.
        if !list.tags.is_empty() {
            let _written = writeln!(text, "{:>NUMBER_COLUMNS$}  TAG", "MACHINES");
        }
        for alike in list.tags.chunk_by(|one, next| one.twins.contains(&next.tag)) {
            for ListedTag { tag, machines, .. } in alike {
                let _written =
                    writeln!(text, "{:>NUMBER_COLUMNS$}  {}", group_digits(*machines), shown(tag, is_for_terminal));
            }
            if alike.len() > 1 {
                let all = if alike.len() == 2 { "both".to_owned() } else { format!("these {}", alike.len()) };
                let _written = writeln!(text, "{:>NUMBER_COLUMNS$}  {all} differ only in case or width", "");
            }
        }
        let tags = counted(list.tags.len() as u64, "tag", "tags");
        let (tagged, all) = (group_digits(list.tagged), counted(list.machines, "machine", "machines"));
        let _written = writeln!(text, "{tags} on {tagged} of {all}.");
        if list.unshown > 0 {
            let machines = counted(list.unshown, "machine", "machines");
            let _written = writeln!(text, "The service did not show the tags of {machines}.");
        }
        text
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

    fn list<'a>(tags: &[(&'a str, u64, &[&'a str])]) -> TagList<'a> {
        let tags =
            tags.iter().map(|(tag, machines, twins)| ListedTag { tag, machines: *machines, twins: twins.to_vec() });
        TagList { tags: tags.collect(), machines: 10_120, tagged: 9_000, unshown: 12 }
    }

    #[test]
    fn the_text_fits_into_a_terminal_whatever_tags_hold() {
        let (long, wide) = ("x".repeat(200), "漢".repeat(200));
        let list = list(&[
            ("Marketing", 1204, &["MARKETING"]),
            ("MARKETING", 3, &["Marketing"]),
            ("Tier 0 ", 2, &[]),
            ("a\u{1b}[31m\u{200b}", 1, &[]),
            (&long, 1, &[]),
            (&wide, 1, &[]),
        ]);
        let text = TagsReport(&list).text(true);
        assert!(TagsReport(&list).text(false).contains(&format!("1  {long}\n")), "nothing is cut for other programs");
        insta::assert_snapshot!(text, @r#"
         MACHINES  TAG
            1,204  Marketing
                3  MARKETING
                   both differ only in case or width
                2  "Tier 0 "
                1  a\u{1b}[31m\u{200b}
                1  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
                1  漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢…
        6 tags on 9,000 of 10,120 machines.
        The service did not show the tags of 12 machines.
        "#);
        assert!(text.lines().all(|line| measure_text_width(line) <= 80), "{text}");
    }

    #[test]
    fn scripts_get_tags_exactly() {
        let list = list(&[("a\u{1b}[31m ", 1, &["A\u{1b}[31m "])]);
        assert_eq!(
            TagsReport(&list).json()["tags"],
            json!([{"tag": "a\u{1b}[31m ", "machines": 1, "twins": ["A\u{1b}[31m "]}])
        );
    }
}
