//! Filters and cells that are made to take long, or to overflow.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Long enough for the slowest machine, and far too short for anything that is not linear.
const QUICK: Duration = Duration::from_mins(10);

/// Nobody reads more about one filter.
const MOST_SAID_BYTES: usize = 1000;

fn fails(filter: &str) -> FilterErrorKind {
    let start = Instant::now();
    let error = bound(filter, &["x"]).err().unwrap_or_else(|| panic!("{} bytes are a filter", filter.len()));
    assert!(start.elapsed() < QUICK, "{} bytes take {:?}", filter.len(), start.elapsed());
    let said = [error.to_string(), error.excerpt().to_string(), error.hint().unwrap_or_default()].concat();
    assert!(said.len() < MOST_SAID_BYTES, "{} bytes are said of {filter:.60}", said.len());
    error.kind().clone()
}

#[test]
fn nesting_is_bounded_and_length_is_not() {
    let nested = |depth: usize| format!("{}x == '1'{}", "(".repeat(depth), ")".repeat(depth));
    assert!(selects(&nested(32), &["x"], &["1"]));
    for filter in [nested(33), nested(100), "(".repeat(100_000), "not(".repeat(100_000)] {
        assert_eq!(fails(&filter), FilterErrorKind::TooDeep);
    }
    let terms =
        |join: &str, count: usize| (0..count).map(|number| format!("x == '{number}'")).collect::<Vec<_>>().join(join);
    assert!(selects(&terms(" or ", 1000), &["x"], &["999"]));
    assert!(!selects(&terms(" and ", 20_000), &["x"], &["1"]));
    let side_by_side = vec!["(not((x == '1')))"; 1000].join(" or ");
    assert!(!selects(&side_by_side, &["x"], &["1"]));
    for (list, cell) in [("'a#'", "a1499"), ("#", "1499"), ("'#'", "1499")] {
        let items: Vec<String> = (0..1500).map(|number| list.replace('#', &number.to_string())).collect();
        let filter = format!("x in ({})", items.join(", "));
        assert!(selects(&filter, &["x"], &[cell]), "{list}");
        assert!(!selects(&filter.replace(" in ", " !in "), &["x"], &[cell]), "{list}");
        assert!(!selects(&filter, &["x"], &["1500"]), "{list}");
    }
}

#[test]
fn hostile_filters_are_refused_quickly() {
    let many = |piece: &str| piece.repeat(100_000 / piece.len());
    for piece in
        ["x", "'", "\\", "[", "['", "@'", "1", "1.", "-", "!", "not ", "x.", "x == 'y' and ", ",", "//\n", "é", "=="]
    {
        fails(&many(piece));
    }
    assert_eq!(fails(&" ".repeat(2_000_000)), FilterErrorKind::TooLong);
    assert_eq!(fails(&format!("x matches regex '{}'", "(".repeat(50_000))).hint_free(), "BadRegex");
    for pattern in ["(a{1000}){1000}", "\\\\pL{5000}", "((((a{20}){20}){20}){20}){20}"] {
        assert_eq!(fails(&format!("x matches regex '{pattern}'")), FilterErrorKind::RegexTooLarge, "{pattern}");
    }
}

impl FilterErrorKind {
    /// The name of the kind alone.
    fn hint_free(&self) -> String {
        format!("{self:?}").split(' ').next().unwrap_or_default().to_owned()
    }
}

#[test]
fn hostile_cells_take_no_longer_than_others() {
    let long = |piece: &str, count: usize| piece.repeat(count);
    let cells = [long("a", 20_000), long("ab-", 7000) + "ab", long("é", 10_000), long("a-", 10_000)];
    let start = Instant::now();
    for cell in &cells {
        for filter in [
            format!("x has '{}'", long("a", 1000)),
            format!("x has '{}a'", long("ab-", 1000)),
            format!("x contains '{}b'", long("A", 1000)),
            "x matches regex '(a+)+$'".to_owned(),
            "x matches regex '(a|aa)*b-?$'".to_owned(),
            "strlen(x) == 1".to_owned(),
            "tolower(x) == 'a'".to_owned(),
            "x == 1 or x > now() or ipv4_is_in_range(x, '10.0.0.0/8')".to_owned(),
        ] {
            selects(&filter, &["x"], &[cell.as_str()]);
        }
    }
    let nested = "[".repeat(1_000_000);
    assert!(!selects("set_has_element(machineTags, 'x')", &["machineTags"], &[nested.as_str()]));
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_pieces_a_filter_decides_or_says_where_it_is_wrong(pieces in vec(select(PIECES.to_vec()), 0..14)) {
        let filters = crate::fuzzing::target("filters").expect("the target");
        filters(pieces.join(" ").as_bytes());
        filters(pieces.concat().as_bytes());
    }
}

/// Pieces of filters, and what is none.
const PIECES: [&str; 44] = [
    "x",
    "y",
    "machineTags",
    "Tags",
    "['x']",
    "machine",
    ".",
    "and",
    "or",
    "not(",
    "(",
    ")",
    ",",
    "..",
    "==",
    "!=",
    "=~",
    "<",
    ">=",
    "in",
    "!in~",
    "has",
    "!contains_cs",
    "matches regex",
    "between",
    "'a'",
    "@'b\\'",
    "\"1\"",
    "''",
    "5",
    "-2.5",
    "30d",
    "true",
    "now()",
    "ago(",
    "datetime(2026-01-31)",
    "isempty(",
    "tolower(",
    "strlen(",
    "array_length(",
    "set_has_element(",
    "ipv4_is_in_range(",
    "// c\n",
    "é",
];
