//! The filter language: any text as a filter, over any rows.

use jiff::Timestamp;

use super::assert_harmless;
use crate::filter::{BoundFilter, Cell, Filter, FilterError, Row, Unread};
use crate::input::HeaderColumns;

/// A row of which nothing is known.
struct Nothing;

impl Row for Nothing {
    fn cell(&self, _position: usize) -> Cell<'_> {
        Cell::Lacking
    }
}

/// The first line is a header, the next ones are rows, and what follows an empty line is the filter; cells stand between
/// tabs.
pub(super) fn filters(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (table, filter) = text.split_once("\n\n").unwrap_or(("x\ty\tmachineTags\tTags\n1\t\t[]\ta, b", &text));
    let mut rows = table.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<String>>());
    let columns = HeaderColumns::new(&rows.next().unwrap_or_default());
    let bound = |filter: &str| Filter::parse(filter, Timestamp::UNIX_EPOCH).and_then(|filter| filter.bind(&columns));
    let filter = match bound(filter) {
        Ok(filter) => filter,
        Err(error) => return assert_told(filter, &error),
    };
    // A comment may be open, and parentheses nest to an end.
    let Ok(opposite) = bound(&format!("not({}\n)", filter.text())) else { return };
    let mut unread = Unread::default();
    for row in rows {
        let verdict = filter.verdict(&row[..], &mut unread).expect("cells are there and decide");
        assert_eq!(opposite.verdict(&row[..], &mut Unread::default()), Some(!verdict), "{:?}", filter.text());
    }
    for cells in filter.unread_cells(&unread) {
        assert_harmless(&cells.to_string());
    }
    over_nothing(&filter, &opposite);
}

fn over_nothing(filter: &BoundFilter, opposite: &BoundFilter) {
    let [verdict, turned] = [filter, opposite].map(|filter| filter.verdict(&Nothing, &mut Unread::default()));
    assert_eq!(turned, verdict.map(|is_true| !is_true), "{:?}", filter.text());
}

fn assert_told(filter: &str, error: &FilterError) {
    assert!((1..=filter.split('\n').count()).contains(&error.line()), "{filter:?}: {error}");
    assert!(error.column() >= 1);
    assert_eq!(error.excerpt().lines().count(), 2, "{filter:?}: {:?}", error.excerpt());
    assert!(error.excerpt().lines().all(|line| line.chars().count() <= 200), "{:?}", error.excerpt());
    for text in [error.to_string(), error.excerpt().to_owned()].into_iter().chain(error.hint()) {
        assert_harmless(&text);
    }
}
