//! Filters of whatever shape beside an evaluation that shares nothing with theirs: it walks a tree of its own over texts,
//! character by character.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const COLUMNS: [&str; 3] = ["one", "two", "tags"];

/// A condition that is written as a filter and evaluated here.
#[derive(Clone, Debug)]
enum Naive {
    Text { column: usize, operator: &'static str, literal: String },
    OneOf { column: usize, operator: &'static str, literals: Vec<String> },
    Number { column: usize, operator: &'static str, tenths: i32 },
    NumberBetween { column: usize, low: i32, high: i32 },
    Date { column: usize, operator: &'static str, literal: String },
    Length { column: usize, operator: &'static str, length: usize },
    Lower { column: usize, literal: String },
    Empty { column: usize, is_negated: bool },
    Element { literal: String },
    Count { operator: &'static str, count: usize },
    Not(Box<Naive>),
    Both(Box<Naive>, Box<Naive>),
    Either(Box<Naive>, Box<Naive>),
}

impl Naive {
    /// As a filter. Whether it needs parentheses is decided by the stupidest rule: always.
    fn written(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        match self {
            Self::Text { column, operator, literal } => format!("{} {operator} {}", COLUMNS[*column], quoted(literal)),
            Self::OneOf { column, operator, literals } => {
                let literals: Vec<String> = literals.iter().map(|literal| quoted(literal)).collect();
                format!("{} {operator} ({})", COLUMNS[*column], literals.join(","))
            }
            Self::Number { column, operator, tenths } => {
                format!("{} {operator} {}", COLUMNS[*column], f64::from(*tenths) / 10.0)
            }
            Self::NumberBetween { column, low, high } => format!("{} between ({low}..{high})", COLUMNS[*column]),
            Self::Date { column, operator, literal } => {
                format!("{} {operator} datetime({literal})", COLUMNS[*column])
            }
            Self::Length { column, operator, length } => format!("strlen({}) {operator} {length}", COLUMNS[*column]),
            Self::Lower { column, literal } => format!("tolower({}) == {}", COLUMNS[*column], quoted(literal)),
            Self::Empty { column, is_negated } => {
                format!("{}({})", if *is_negated { "isnotempty" } else { "isempty" }, COLUMNS[*column])
            }
            Self::Element { literal } => format!("set_has_element(tags, {})", quoted(literal)),
            Self::Count { operator, count } => format!("array_length(tags) {operator} {count}"),
            Self::Not(inner) => format!("not({})", inner.written()),
            Self::Both(one, other) => format!("({}) and ({})", one.written(), other.written()),
            Self::Either(one, other) => format!("({}) or ({})", one.written(), other.written()),
        }
    }

    fn is_true(&self, cells: &[String]) -> bool {
        let cell = |column: &usize| cells[*column].trim().to_owned();
        match self {
            Self::Text { column, operator, literal } => text_holds(&cell(column), operator, literal),
            Self::OneOf { column, operator, literals } => {
                let same = if operator.ends_with('~') { "=~" } else { "==" };
                let is_among = literals.iter().any(|literal| text_holds(&cell(column), same, literal));
                is_among != operator.starts_with('!')
            }
            Self::Number { column, operator, tenths } => {
                tenths_of(&cell(column)).is_some_and(|cell| order_holds(&cell, operator, &i64::from(*tenths)))
            }
            Self::NumberBetween { column, low, high } => tenths_of(&cell(column))
                .is_some_and(|cell| cell >= i64::from(*low) * 10 && cell <= i64::from(*high) * 10),
            // Dates of one form sort as texts do.
            Self::Date { column, operator, literal } => {
                let cell = cell(column);
                let is_date = cell.len() == literal.len() && cell.starts_with("20");
                is_date && order_holds(&cell.as_str(), operator, &literal.as_str())
            }
            Self::Length { column, operator, length } => order_holds(&cell(column).chars().count(), operator, length),
            Self::Lower { column, literal } => cell(column).to_lowercase() == *literal,
            Self::Empty { column: 2, is_negated } => elements(&cells[2]).is_empty() != *is_negated,
            Self::Empty { column, is_negated } => cell(column).is_empty() != *is_negated,
            Self::Element { literal } => elements(&cells[2]).contains(literal),
            Self::Count { operator, count } => order_holds(&elements(&cells[2]).len(), operator, count),
            Self::Not(inner) => !inner.is_true(cells),
            Self::Both(one, other) => one.is_true(cells) && other.is_true(cells),
            Self::Either(one, other) => one.is_true(cells) || other.is_true(cells),
        }
    }
}

fn text_holds(cell: &str, operator: &str, literal: &str) -> bool {
    let (name, is_negated) = match operator {
        "!=" => ("==", true),
        "!~" => ("=~", true),
        other => (other.trim_start_matches('!'), other.starts_with('!')),
    };
    let is_exact = name == "==" || name.ends_with("_cs");
    let lower = |character: char| if is_exact { character } else { character.to_ascii_lowercase() };
    let cell: Vec<char> = cell.chars().map(lower).collect();
    let literal: Vec<char> = literal.chars().map(lower).collect();
    let places = || (0..=cell.len()).filter(|start| cell[*start..].starts_with(&literal));
    let is_whole = |start: usize| {
        let end = start + literal.len();
        let touches = |inner: Option<&char>, outer: Option<&char>| {
            inner.is_some_and(|it| it.is_alphanumeric()) && outer.is_some_and(|it| it.is_alphanumeric())
        };
        let before = start.checked_sub(1).and_then(|before| cell.get(before));
        !touches(literal.first(), before) && !touches(literal.last(), cell.get(end))
    };
    let holds = match name.trim_end_matches("_cs") {
        "==" | "=~" => cell == literal,
        "contains" => places().next().is_some(),
        "startswith" => places().any(|start| start == 0),
        "endswith" => places().any(|start| start + literal.len() == cell.len()),
        "has" => places().any(is_whole),
        other => panic!("{other}"),
    };
    holds != is_negated
}

fn order_holds<T: Ord>(one: &T, operator: &str, other: &T) -> bool {
    match operator {
        "==" => one == other,
        "!=" => one != other,
        "<" => one < other,
        "<=" => one <= other,
        ">" => one > other,
        ">=" => one >= other,
        other => panic!("{other}"),
    }
}

/// Digits, perhaps with a sign and one digit behind a point.
fn tenths_of(cell: &str) -> Option<i64> {
    let (sign, digits) = cell.strip_prefix('-').map_or((1, cell), |rest| (-1, rest));
    let (whole, tenths) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
    if !is_number(whole) || !is_number(tenths) || tenths.len() != 1 {
        return None;
    }
    Some(sign * (whole.parse::<i64>().ok()? * 10 + tenths.parse::<i64>().ok()?))
}

/// What stands between commas.
fn elements(cell: &str) -> Vec<String> {
    cell.split(',').map(str::trim).filter(|element| !element.is_empty()).map(str::to_owned).collect()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[aAbB\\-_ 1éÉ'\\\\]{0,6}", "(a|A|ab|-){0,5}"]
}

fn date() -> impl Strategy<Value = String> {
    (2025..2028, 1..13, 1..29, 0..24)
        .prop_map(|(year, month, day, hour)| format!("{year}-{month:02}-{day:02} {hour:02}:00:00"))
}

fn cell() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        (-30..30).prop_map(|whole: i32| whole.to_string()),
        (-3..30, 0..10).prop_map(|(whole, tenths): (i32, i32)| format!("{whole}.{tenths}")),
    ];
    prop_oneof![3 => text(), 2 => number, 1 => date(), 1 => select(vec!["", "n/a", " a ", "1e", "20"]).prop_map(str::to_owned)]
}

fn condition() -> impl Strategy<Value = Naive> {
    let order = || select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let of_text = || {
        let words = ["has", "contains", "startswith", "endswith"];
        let forms =
            words.iter().flat_map(|word| ["", "!"].map(|not| [format!("{not}{word}"), format!("{not}{word}_cs")]));
        let words: Vec<&'static str> = forms.flatten().map(|word| &*word.leak()).collect();
        select([vec!["==", "!=", "=~", "!~"], words].concat())
    };
    let column = 0..2_usize;
    let leaf = prop_oneof![
        8 => (column.clone(), of_text(), text())
            .prop_map(|(column, operator, literal)| Naive::Text { column, operator, literal: literal.trim().to_owned() }),
        2 => (column.clone(), select(vec!["in", "!in", "in~", "!in~"]), vec(text(), 1..5))
            .prop_map(|(column, operator, literals)| Naive::OneOf { column, operator, literals }),
        3 => (column.clone(), order(), -30..300)
            .prop_map(|(column, operator, tenths)| Naive::Number { column, operator, tenths }),
        1 => (column.clone(), -30..30, -30..30)
            .prop_map(|(column, low, high)| Naive::NumberBetween { column, low, high }),
        2 => (column.clone(), order(), date())
            .prop_map(|(column, operator, literal)| Naive::Date { column, operator, literal }),
        1 => (column.clone(), order(), 0..6_usize)
            .prop_map(|(column, operator, length)| Naive::Length { column, operator, length }),
        1 => (column, text()).prop_map(|(column, literal)| Naive::Lower { column, literal: literal.to_lowercase() }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(column, is_negated)| Naive::Empty { column, is_negated }),
        1 => text().prop_map(|literal| Naive::Element { literal }),
        1 => (order(), 0..4_usize).prop_map(|(operator, count)| Naive::Count { operator, count }),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Naive::Not(Box::new(inner))),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| Naive::Both(Box::new(one), Box::new(other))),
            (inner.clone(), inner).prop_map(|(one, other)| Naive::Either(Box::new(one), Box::new(other))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_select_what_a_naive_evaluation_does(
        condition in condition(),
        rows in vec((cell(), cell(), vec(text(), 0..4)), 1..12),
    ) {
        let written = condition.written();
        let filter = bound(&written, &COLUMNS).expect("a filter");
        let mut unread = Unread::default();
        for (one, two, tags) in rows {
            let cells = [one, two, tags.join(", ")];
            prop_assert_eq!(filter.selects(&cells[..], &mut unread), condition.is_true(&cells), "{} on {:?}", written, cells);
        }
    }
}
