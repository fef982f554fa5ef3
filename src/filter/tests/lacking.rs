//! Values of which some are lacking: undecided is not false.

use super::*;

/// What a machine has, by name; a name that is not there is lacking.
struct Fields(Vec<(&'static str, Held)>);

enum Held {
    Lacking,
    Text(&'static str),
    List(Vec<&'static str>),
}

impl Columns for Fields {
    fn find(&self, name: &ColumnName) -> Lookup {
        let Some(position) = self.0.iter().position(|(field, _)| *field == name.written()) else {
            return Lookup::Unknown;
        };
        let is_list = name.name == "machineTags";
        let kind = if is_list { ColumnKind::List(ListForm::Json) } else { ColumnKind::Text };
        Lookup::Found(Column { position, kind })
    }

    fn known(&self, qualifier: Option<&str>) -> Vec<String> {
        let of_qualifier =
            |(field, _): &&(&'static str, Held)| field.split_once('.').map(|(before, _)| before) == qualifier;
        self.0.iter().filter(of_qualifier).map(|(field, _)| (*field).to_owned()).collect()
    }
}

impl Row for Fields {
    fn cell(&self, position: usize) -> Cell<'_> {
        match &self.0[position].1 {
            Held::Lacking => Cell::Lacking,
            Held::Text(text) => Cell::Text(text),
            Held::List(elements) => Cell::List(elements),
        }
    }
}

fn fields() -> Fields {
    Fields(vec![
        ("t", Held::Text("true")),
        ("f", Held::Text("false")),
        ("u", Held::Lacking),
        ("machineTags", Held::List(vec!["Tier 0", "PCI"])),
        ("cmdb.Department", Held::Text("")),
        ("cmdb.['Cost Center']", Held::Lacking),
        ("machine.machineTags", Held::Lacking),
    ])
}

fn verdict(filter: &str) -> Option<bool> {
    let fields = fields();
    let bound = Filter::parse(filter, now()).and_then(|filter| filter.bind(&fields)).expect("a filter");
    bound.verdict(&fields, &mut Unread::default())
}

#[test]
fn and_or_and_not_are_kleenes() {
    let value = |name: &str| match name {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    };
    for one in ["t", "f", "u"] {
        for other in ["t", "f", "u"] {
            let (left, right) = (value(one), value(other));
            let both = match (left, right) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            let either = match (left, right) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            assert_eq!(verdict(&format!("{one} == true and {other} == true")), both, "{one} and {other}");
            assert_eq!(verdict(&format!("{one} == true or {other} == true")), either, "{one} or {other}");
        }
        assert_eq!(verdict(&format!("not({one} == true)")), value(one).map(|is_true| !is_true), "not {one}");
    }
}

#[test]
fn whatever_is_asked_of_what_is_lacking_is_undecided() {
    for filter in [
        "u == 'x'",
        "u != 'x'",
        "u !in ('x')",
        "u !has 'x'",
        "u > 5",
        "u > ago(1d)",
        "isempty(u)",
        "isnotempty(u)",
        "tolower(u) == 'x'",
        "strlen(u) == 0",
        "ipv4_is_in_range(u, '10.0.0.0/8')",
        "isempty(cmdb.['Cost Center'])",
        "isempty(cmdb['Cost Center'])",
        "isempty(machine.machineTags)",
        "set_has_element(machine.machineTags, 'x')",
        "array_length(machine.machineTags) == 0",
        "machine.machineTags !contains 'x'",
    ] {
        assert_eq!(verdict(filter), None, "{filter}");
        assert_eq!(verdict(&format!("not({filter})")), None, "not({filter})");
    }
    assert_eq!(verdict("isempty(cmdb.Department)"), Some(true), "an empty text is there");
    assert_eq!(verdict("t > 5"), Some(false), "a text that is no number decides");
}

#[test]
fn lists_need_no_reading() {
    for (filter, expected) in [
        ("set_has_element(machineTags, 'PCI')", true),
        ("set_has_element(machineTags, 'pci')", false),
        ("array_length(machineTags) == 2", true),
        ("isempty(machineTags)", false),
        ("machineTags contains 'tier'", true),
        ("machineTags !contains 'tier'", false),
    ] {
        assert_eq!(verdict(filter), Some(expected), "{filter}");
    }
}

#[test]
fn an_unknown_qualified_name_lists_those_of_its_kind() {
    let error =
        Filter::parse("isempty(cmdb.Departmant)", now()).and_then(|it| it.bind(&fields())).expect_err("unknown");
    assert_eq!(
        (error.to_string().as_str(), error.hint().expect("a hint").as_str()),
        (
            "line 1, column 9: unknown column \"cmdb.Departmant\"",
            "did you mean cmdb.Department? the columns are cmdb.Department, cmdb.['Cost Center']"
        )
    );
}
