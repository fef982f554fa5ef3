//! Lists beside a file of rules, its lookups and an exported inventory: read as files of orders are, seen from outside.

use serde_json::json;

use crate::machines::id;
use crate::rehearsal::Folder;
use crate::rules::{FLEET, exits, machines, over, run};
use crate::tenant::Tenant;

#[test]
fn a_list_beside_rules_is_read_as_orders_are_and_no_row_of_it_is_swallowed() {
    let rules = "schema = 1\nname = 'l'\n[own]\nprefixes = ['D-']\n[lookup.cmdb]\nfile = 'cmdb.csv'\n\
                 key = { id = 'Id' }\n#MORE\n[[rule]]\nname = 'a'\nwhere = 'isnotempty(cmdb.Dep)'\ntag = 'D-{cmdb.Dep}'\n";
    let (tenant, folder) = (Tenant::of(machines()), Folder::new());
    let server = tenant.serve();
    folder.write("cmdb.csv", format!("Id,Remark,Dep\n{},\"x,HR\n{},\",IT\n", id(1), id(2)));
    for command in ["plan", "apply --yes", "verify"] {
        let refused = exits(over(&server, &folder, rules, &format!("{command} fleet.toml")), 3);
        let told = "line 5: the lookup cmdb: cmdb.csv cannot be used: row 1, line 2: the quoted cell from line 2 to line 3 \
                    holds a line that looks like a row of its own";
        assert!(refused.messages.contains(told), "{}", refused.messages);
        assert!(
            refused.messages.contains("in [lookup.cmdb], that option is accept = [\"line-breaks\"]"),
            "{}",
            refused.messages
        );
    }
    assert_eq!(server.writes(), 0);
    let accepting = rules.replace("#MORE", "accept = ['line-breaks']");
    let planned = exits(over(&server, &folder, &accepting, "plan fleet.toml"), 0);
    let note =
        "note: cmdb.csv: accept = [\"line-breaks\"] in [lookup.cmdb] allows 1 row that would be refused otherwise";
    assert!(planned.messages.contains(note), "{}", planned.messages);

    // In another encoding, below a title, with decorated ids and with a row that is nobody's.
    let list = format!("Assets\n\nId;Dep;Site\n'{};Stra\u{df}e\n{{{}}};IT;;;\n;HR\n", id(1), id(2));
    folder.write("cmdb.csv", encoding_rs::WINDOWS_1252.encode(&list).0);
    let refused = exits(over(&server, &folder, rules, "apply fleet.toml --yes"), 3);
    assert!(refused.messages.contains("in [lookup.cmdb], that option is encoding"), "{}", refused.messages);
    let named = rules.replace("#MORE", "encoding = 'windows-1252'");
    let done = exits(over(&server, &folder, &named, "apply fleet.toml --yes"), 0);
    assert_eq!((tenant.holds(1).0[0].as_str(), tenant.holds(2).0[0].as_str()), ("D-Stra\u{df}e", "D-IT"));
    for note in [
        "note: cmdb.csv: the header is on line 3; skipped line 1 above it \"Assets\"",
        "note: cmdb.csv: 2 machine ids had a leading apostrophe (1) and brackets (1); they are read without",
        "note: cmdb.csv: left out 1 row that names no machine in the column \"Id\", on line 6",
    ] {
        assert!(done.messages.contains(note), "{}", done.messages);
    }
    let again = exits(run(&server, &folder, "apply fleet.toml --yes -q"), 0);
    assert_eq!(again.messages, "");
}

#[test]
fn an_exported_list_with_rows_in_error_is_refused_with_all_of_them() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    let header = "machineId,computerDnsName,osPlatform,machineTags\n";
    let good = format!("{},ber-1.corp,Linux,[]\n", id(1));
    let try_list = |list: &str, more: &str, status| {
        folder.write("list.csv", encoding_rs::WINDOWS_1252.encode(list).0);
        exits(over(&server, &folder, FLEET, &format!("plan fleet.toml --inventory list.csv {more}")), status)
    };
    let (cut, second, one) = (id(2)[..38].to_owned(), id(2), id(1));
    let wrong = format!(
        "{header}{good}zz,,,\n{cut},,,\n5.5E+39,,,\n{second},x,Linux,\"E-W,E-old\"\n{one},again,Linux,[]\n\
         {},\"y\n{},z,Linux,[]\",Linux,[]\n",
        id(3),
        id(4)
    );
    let refused = try_list(&wrong, "--json", 3);
    let codes: Vec<_> =
        refused.object()["findings"].as_array().expect("findings").iter().map(|it| it["code"].clone()).collect();
    assert_eq!(codes, ["other_key", "damaged_id", "damaged_id", "no_tag_list", "repeated_key", "line_breaks"]);
    assert!(
        refused.messages.contains("error: list.csv: row 2, line 3, column \"machineId\": \"zz\" is no machine id"),
        "{}",
        refused.messages
    );
    assert!(refused.messages.contains("list.csv has 6 findings, so nothing was planned"), "{}", refused.messages);

    let read = format!("My machines\n{header}{good}{},Gr\u{f6}\u{df}e\n{},x,Linux,[],,\n{header},,,\n", id(2), id(3));
    let refused = try_list(&read, "", 3);
    assert!(refused.messages.contains("name the input's encoding with --encoding"), "{}", refused.messages);
    let tried = try_list(&read, "--encoding windows-1252 --json", 0);
    assert_eq!(tried.object()["machines_in_scope"], json!(3));
    assert!(tried.messages.contains("skipped 1 row that repeats the header"), "{}", tried.messages);
    exits(over(&server, &folder, FLEET, "plan fleet.toml --encoding windows-1252"), 2);
    assert_eq!(server.requests().len(), 0);
}
