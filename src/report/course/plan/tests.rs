//! What people and scripts are told of a plan.

use super::*;
use crate::model::MachineRecord;
use crate::plan::changes::{PlanSettings, UnlistedPolicy};
use crate::plan::fixtures::{inventory, listed, plan, sheet, tagged};
use crate::plan::recent::RecentWrites;

/// A plan that was made for these rows, ready to be told.
struct Made {
    rows: u32,
    inventory: Option<Inventory>,
    plan: Plan,
}

impl Made {
    fn new(rows: &str, inventory: Option<Inventory>, settings: PlanSettings) -> Self {
        let sheet = sheet(rows);
        let plan = plan(&sheet, inventory.as_ref(), &RecentWrites::default(), settings);
        Self { rows: sheet.row_count, inventory, plan }
    }

    fn report(&self, duration: Duration, has_quota: bool) -> PlanReport<'_> {
        PlanReport {
            input: "in.csv",
            destination: "api.example",
            rows: self.rows,
            selected_from: None,
            invalid_rows: 0,
            plan: &self.plan,
            inventory: self.inventory.as_ref(),
            list_calls: u64::from(self.inventory.is_some()),
            calls: self.plan.calls(500),
            duration,
            tags_side_by_side: false,
            left_until_deadline: None,
            has_quota,
            rules: None,
        }
    }

    fn text(&self) -> String {
        self.report(Duration::from_millis(1500), false).text()
    }
}

fn tenant() -> Inventory {
    let server = |number: u32, group: &str| MachineRecord {
        rbac_group_name: Some(group.into()),
        os_platform: Some("Linux".into()),
        ..listed(number)
    };
    let odd = MachineRecord { rbac_group_name: None, os_platform: None, ..listed(3) };
    inventory([server(1, "Servers"), tagged(2, &["Old"]), odd])
}

#[test]
fn one_of_each_is_told_in_the_singular() {
    let made = Made::new("#1,New,Add,\n", Some(tenant()), PlanSettings::default());
    insta::assert_snapshot!(made.text(), @r#"
    Plan for in.csv, 1 row, on api.example:
    1 change, 0 already set
              1 × add tag "New"
                  machine groups: Servers 1
                  platforms: Linux 1
    Tags drive device groups: a machine whose tags change may move to another group, and with it who may see it and what is done to it.
    Calls: 2 (1 page of machines, 1 single tag).
    Finished in about 1.5 s.
    "#);
}

#[test]
fn everything_that_keeps_rows_from_being_sent_is_told() {
    let rows =
        "#1,New,Add,High\n#1,New,Add,\n#2,Old,Add,\n#3,New,Add,\nnobody,New,Add,High\n#9,New,Add,\n#2,New,Add,Low\n";
    let settings = PlanSettings { unlisted: UnlistedPolicy::Fail, limit: Some(3), ..PlanSettings::default() };
    let made = Made::new(rows, Some(tenant()), settings);
    let report = PlanReport { invalid_rows: 4, ..made.report(Duration::from_millis(1500), false) };
    insta::assert_snapshot!(report.text(), @r#"
    Plan for in.csv, 7 rows, 9 operations, on api.example:
    3 changes, 1 already set, 2 left out by --limit, 1 that fails, since the tenant's list lacks the machine, 1 asked for more than once and done once, 4 rows in error and skipped, 1 row that fails, since its machine's name leads to none
              2 × add tag "New"
                  machine groups: Servers 1, none 1
                  platforms: Linux 1, none 1
              1 × set device value High
    Tags drive device groups: a machine whose tags change may move to another group, and with it who may see it and what is done to it.
      row 5, line 6: no machine of the tenant's list is called "nobody"
    Calls: 3 (1 page of machines, 1 bulk call, 1 device value).
    Finished in about 1.5 s.
    "#);
}

#[test]
fn machines_that_the_inventory_lacks_are_told_with_their_calls() {
    let rows = (1..=40).map(|number| format!("#{number},New,Add,\n")).collect::<Vec<_>>().concat();
    let made = Made::new(&rows, Some(tenant()), PlanSettings::default());
    let lines: Vec<String> = made.text().lines().skip(5).map(str::to_owned).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    Tags drive device groups: a machine whose tags change may move to another group, and with it who may see it and what is done to it.
    The tenant's list lacks 37 machines, to be tried last and apart, in 1 call, or up to 56 where the service does not know them either.
    Calls: 3 (1 page of machines, 2 bulk calls).
    Finished in about 1.5 s.
    ");
}

#[test]
fn without_an_inventory_nothing_is_told_of_groups() {
    let made = Made::new("#1,New,Add,High\n#2,New,Add,\n", None, PlanSettings::default());
    insta::assert_snapshot!(made.text(), @r#"
    Plan for in.csv, 2 rows, 3 operations, on api.example:
    3 changes, 0 already set
              2 × add tag "New"
              1 × set device value High
    Calls: 2 (1 bulk call, 1 device value).
    Finished in about 1.5 s.
    "#);
}

#[test]
fn a_plan_that_changes_nothing_says_so() {
    let made = Made::new("#2,Old,Add,Normal\n", Some(tenant()), PlanSettings::default());
    insta::assert_snapshot!(made.text(), @"
    Plan for in.csv, 1 row, 2 operations, on api.example:
    0 changes, 2 already set
    There is nothing to change.
    ");
}

#[test]
fn of_much_the_most_is_told() {
    let machines = (1..=30).map(|number| MachineRecord {
        rbac_group_name: Some(format!("Group {}", number % 7).into()),
        ..listed(number)
    });
    let tags = (1..=14)
        .flat_map(|tag| (1..=tag).map(move |number| format!("#{number},T{tag},Add,\n")))
        .collect::<Vec<_>>()
        .concat();
    let nobody = (1..=22).map(|number| format!("nobody{number},T1,Add,\n")).collect::<Vec<_>>().concat();
    let made = Made::new(&(tags + &nobody), Some(inventory(machines)), PlanSettings::default());
    let text = made.text();
    let about = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    assert_eq!((about(" × add tag"), about("and 2 more kinds of change")), (12, 1), "{text}");
    assert!(text.contains("         14 × add tag \"T14\"\n"), "{text}");
    assert!(
        text.contains("machine groups: Group 0 2, Group 1 2, Group 2 2, Group 3 2, Group 4 2, and 2 more\n"),
        "{text}"
    );
    assert_eq!((about("is called \"nobody"), about("  and 2 more names")), (20, 1), "{text}");
}

#[test]
fn what_comes_from_outside_cannot_speak_to_the_terminal() {
    let odd = MachineRecord { rbac_group_name: Some("\u{1b}[31mred".into()), ..listed(1) };
    let made = Made::new("#1,\u{202e}gat,Add,\n\u{202e}name,x,Add,\n", Some(inventory([odd])), PlanSettings::default());
    assert!(!made.text().contains(['\u{1b}', '\u{202e}']), "{}", made.text());
}

#[test]
fn with_a_quota_the_day_and_time_are_told_and_on_what_they_rest() {
    let made = Made::new("#1,New,Add,\n", Some(tenant()), PlanSettings::default());
    let text = made.report(Duration::from_mins(121), true).text();
    let end = text.lines().next_back().expect("a line");
    assert!(
        end.starts_with("Finished about 20") && end.ends_with(", in 2 h 1 min, if nothing else uses this app's quota."),
        "{end}"
    );
}

#[test]
fn a_deadline_that_comes_first_is_told_beside_the_end() {
    let made = Made::new("#1,New,Add,\n", Some(tenant()), PlanSettings::default());
    let text = |minutes: u64| {
        let left_until_deadline = Some(Duration::from_mins(minutes));
        PlanReport { left_until_deadline, ..made.report(Duration::from_mins(121), true) }.text()
    };
    let end = text(30);
    let end = end.lines().next_back().expect("a line");
    assert!(
        end.starts_with("The deadline comes before that, at ") && end.ends_with(": what is left then can be resumed.")
    );
    assert!(!text(122).contains("deadline"));
}

#[test]
fn scripts_get_every_number() {
    let rows = "#1,New,Add,High\n#1,New,Add,\n#2,Old,Remove,\n#2,New,Remove,\nnobody,New,Add,\n#9,New,Add,\n";
    let made = Made::new(rows, Some(tenant()), PlanSettings::default());
    let object = made.report(Duration::from_millis(1500), false).json();
    insta::assert_snapshot!(serde_json::to_string_pretty(&object).expect("JSON"), @r#"
    {
      "beyond_limit": 0,
      "by_change": [
        {
          "action": "Add",
          "changes": 2,
          "machine_groups": {
            "Servers": 1
          },
          "os_platforms": {
            "Linux": 1
          },
          "tag": "New",
          "unchanged": 0,
          "value": null
        },
        {
          "action": "Remove",
          "changes": 1,
          "machine_groups": {
            "Workstations": 1
          },
          "os_platforms": {
            "Windows11": 1
          },
          "tag": "Old",
          "unchanged": 0,
          "value": null
        },
        {
          "action": "SetDeviceValue",
          "changes": 1,
          "machine_groups": {
            "Servers": 1
          },
          "os_platforms": {
            "Linux": 1
          },
          "tag": null,
          "unchanged": 0,
          "value": "High"
        },
        {
          "action": "Remove",
          "changes": 0,
          "machine_groups": {},
          "os_platforms": {},
          "tag": "New",
          "unchanged": 1,
          "value": null
        }
      ],
      "calls": {
        "bulk": 0,
        "get": 0,
        "list": 1,
        "tags": 3,
        "value": 1
      },
      "changes": 4,
      "eta_seconds": 1.5,
      "invalid": 0,
      "machines": 3,
      "names_resolved": 0,
      "names_unresolved": 1,
      "not_in_inventory": 0,
      "repeated": 1,
      "rows": 6,
      "rows_unresolved": 1,
      "tags_side_by_side": false,
      "unchanged": 1,
      "unlisted": 1,
      "unlisted_calls": {
        "expected": 1,
        "worst_case": 1
      },
      "withheld": 0
    }
    "#);
}
