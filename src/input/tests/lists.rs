//! Lists without orders: what is a finding in a file of orders is one here, and what is read there is read here.

use encoding_rs::WINDOWS_1252;

use super::super::{
    Accepted, Doubt, InputOptions, KeyKind, List, ListError, ListOptions, ListRemedy, Orders, Problem, read,
};
use super::utf16;

const A: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const B: &str = "2e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const GUID: &str = "0a1b2c3d-0000-1111-2222-333344445555";

const OPTIONS: ListOptions<'static> = ListOptions { key_columns: &["Name", "Id"], ..ListOptions::OF_NAMES };

/// The machines of a file's rows with their lines, and what is noted of it; or what is wrong with it, a line each.
type Read = Result<(Vec<String>, Vec<String>), Vec<String>>;

fn in_words(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// As a list for `--add`.
fn as_orders(bytes: &[u8]) -> Read {
    let orders = Orders::new(&["Z".to_owned()], &[], None, Accepted::default()).expect("orders");
    let options = InputOptions { orders: Some(orders), ..InputOptions::default() };
    let sheet = read(bytes, &options).map_err(|error| vec![error.to_string()])?;
    if !sheet.problems.is_empty() {
        return Err(in_words(&sheet.problems));
    }
    let requests = sheet.requests.all.iter();
    let machine = |place| sheet.requests.machine(place).expect("a machine").to_string();
    let rows = requests.map(|request| format!("{} {}", request.line, machine(request.machine)));
    Ok((rows.collect(), sheet.notes.iter().map(ToString::to_string).collect()))
}

fn read_list(bytes: &[u8], options: &ListOptions<'_>) -> Read {
    let list = List::read(bytes, options).map_err(|error| match &error {
        ListError::Rows(problems) => in_words(problems),
        error => vec![error.to_string()],
    })?;
    let rows = list.rows().map(|row| format!("{} {}", row.line, row.machine));
    Ok((rows.collect(), list.notes().iter().map(ToString::to_string).collect()))
}

fn as_list(bytes: &[u8]) -> Read {
    read_list(bytes, &OPTIONS)
}

#[test]
fn a_list_and_a_file_of_orders_are_read_alike() {
    let names = |rows: &str| format!("Name,Remark,Dep\n{rows}").into_bytes();
    let ids = |rows: &str| format!("Id,Remark,Dep\n{rows}").into_bytes();
    let is_read = [
        names("web01,x,HR\nweb02,,IT\n"),
        // Decoration of names and ids.
        names("CORP\\web01,,HR\nweb02$,,IT\n\\\\web03,,\nweb04.,,\n'web05,,\nweb06\u{a0},,\n{web07},,\n"),
        ids(&format!("'{A},,HR\n{{{B}}},,IT\n")),
        ids(&format!("\"=\"\"{A}\"\"\",,HR\n\u{200b}{B},,IT\n")),
        ids(&format!("https://security.microsoft.com/machines/{A}/overview,,HR\n{},,IT\n", B.to_uppercase())),
        ids(&format!("{A},,HR\n{GUID},,IT\nweb01,,\n")),
        // Structure.
        names("web01\nweb02,x\n"),
        names("web01,x,HR,,\n"),
        names("web01,x,HR\n,,\n , ,\n\nweb02,x,IT\n"),
        names("web01,x,HR\nname,REMARK,Dep\nweb02,x,IT\n"),
        names("web01,\"two\nlines\",HR\nweb02,\"moved, and\nremoved\",IT\nweb03,x,\"a, b\n\nc, d\"\n"),
        b"Assets of today\n\nName,Remark,Dep\nweb01,x,HR\n".to_vec(),
        b"Assets,of,today\n#,,\nName,Remark,Dep\nweb01,x,HR\n".to_vec(),
        b"sep=;\nName;Dep\nweb01;a,b\n".to_vec(),
        b"#TYPE System.Object\n\"Name\",\"Dep\"\n\"web01\",\"HR\"\n".to_vec(),
        b"Owner\tN A M E\tDep\r\nx\tweb01\tHR\r\n".to_vec(),
        "\u{feff}Name,Dep\nweb01,HR\n".as_bytes().to_vec(),
        "ï»¿Name,Dep\nweb01,HR\n".as_bytes().to_vec(),
        utf16("\u{feff}Name,Dep\nweb01,Größe\n", u16::to_le_bytes),
    ];
    for bytes in is_read {
        let shown = String::from_utf8_lossy(&bytes);
        let list = as_list(&bytes).unwrap_or_else(|error| panic!("{shown}: {error:?}"));
        assert!(!list.0.is_empty(), "{shown}");
        assert_eq!(Ok(list), as_orders(&bytes), "{shown}");
    }
    let is_wrong = [
        // Quoted cells that swallow rows, with an id, with a whole row, and with the rest of the file.
        ids(&format!("{A},\"x,HR\n{B},\",IT\n")),
        names("web01,\"x,HR\nweb04,y,OPS\nweb02,\",IT\nweb03,,QA\n"),
        names("web01,\"x,HR\nweb02,\",IT\n"),
        b"Name,Dep\nweb01,\"HR\nweb02\",IT\n".to_vec(),
        names("web01,\"x,HR\nweb02,y,IT\n"),
        names("web01,\"x\"y,HR\n"),
        names("web01,a, \"x\",HR\n"),
        names(" \"web01\",x,HR\n"),
        names("web01,x,HR,y\nweb02,x,IT,y,z\n"),
        names("# the end\n"),
        names("\"web01,x,HR\",,\n"),
        b"\"Name,Dep\"\n\"web01,HR\"\n".to_vec(),
        format!("{A},x\nId,Dep\n{B},y\n").into_bytes(),
        "ï»¿Name,Dep\nweb01,Größe\n".as_bytes().to_vec(),
        b"Name,name\nweb01,web02\n".to_vec(),
        WINDOWS_1252.encode("Name,Dep\nweb01,Größe\n").0.into_owned(),
        utf16("Name,Dep\nweb01,HR\n", u16::to_le_bytes),
        // What names no machine, or more than one.
        ids(&format!("{},,HR\n5.5E+39,,IT\n{B},,\n", &A[..38])),
        names("\"web01;web02\",x,HR\n"),
        names(&format!("{A} old,x,HR\nweb\u{7}01,,\n{},,\n", "x".repeat(1001))),
    ];
    for bytes in is_wrong {
        let shown = String::from_utf8_lossy(&bytes);
        let list = as_list(&bytes).expect_err(&shown);
        assert_eq!(Err(list), as_orders(&bytes), "{shown}");
    }
}

/// A blank before a quotation mark spoils any column of a list, for any may be read.
#[test]
fn what_a_list_has_beyond_orders_is_told() {
    let ids = ListOptions { key: KeyKind::Id, ..OPTIONS };
    let devices = ListOptions { key: KeyKind::EntraDevice, ..OPTIONS };
    let tags = ListOptions { has_tags: true, ..OPTIONS };
    let told = |text: &str, options: &ListOptions<'_>| match read_list(text.as_bytes(), options) {
        Ok((rows, notes)) => [vec![format!("{} read", rows.len())], notes].concat().join("\n"),
        Err(problems) => problems.join("\n"),
    };
    let all = [
        told("", &OPTIONS),
        told("Owner,Dep\nx,y\n", &OPTIONS),
        told("Name,Dep\nweb01, \"HR\"\n", &OPTIONS),
        told("Name,Dep\nweb01,HR\nCORP\\WEB01,IT\nweb01.corp,IT\n", &OPTIONS),
        told("Name,Dep\n,HR\nweb01,IT\n#N/A,HR\nNULL,\n10.0.0.1,x\n  ,x\n", &OPTIONS),
        told(&format!("Id,Dep\n{A},x\n{GUID},HR\nweb01,\n{},\n10.0.0.1,\n,\n,x\n", &A[..38]), &ids),
        told(&format!("Id,Dep\n{GUID},x\n{A},HR\n{{{}}},y\n", GUID.to_uppercase()), &devices),
        told("Name,machineTags\na,\"[\"\"A\"\"]\"\nb,\nc,[]\nd,null\ne,\"A,B\"\nf,\"[\"\"A\"\nf,[1]\n", &tags),
        told("Name,machineTags\nb,A\n", &OPTIONS),
        told("Name,Tags\nb,\"A, B\"\n", &tags),
    ];
    insta::assert_snapshot!(all.join("\n--\n"), @r#"
    it is empty; its first line must be a header that has the column Name
    --
    the header on line 1 has no column "Name"; it has "Owner" (1), "Dep" (2)
    --
    row 1, line 2: a quotation mark after a blank is a part of the cell; remove the blank before the quotation mark
    --
    row 2, line 3, column "Name": "CORP\WEB01" stands on line 2 already, and a list has one row for each machine; remove one of both
    --
    1 read
    left out 5 rows that name no machine in the column "Name", on lines 2, 4, 5, 6 and 7
    --
    row 2, line 3, column "Id": "0a1b2c3d-0000-1111-2222-333344445555" is no machine id of 40 hexadecimal digits, which this column is to hold; correct the cell, or name another column
    row 3, line 4, column "Id": "web01" is no machine id of 40 hexadecimal digits, which this column is to hold; correct the cell, or name another column
    row 4, line 5, column "Id": "1e5bc9d7e413ddd7902c2932e418702b84d0cc" is a damaged id: it has 38 hexadecimal digits in all, and an id has 40 in one piece; copy the id again
    row 5, line 6, column "Id": "10.0.0.1" is no machine id of 40 hexadecimal digits, which this column is to hold; correct the cell, or name another column
    --
    row 2, line 3, column "Id": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07" is no Entra device id, which this column is to hold; correct the cell, or name another column
    row 3, line 4, column "Id": "{0A1B2C3D-0000-1111-2222-333344445555}" stands on line 2 already, and a list has one row for each machine; remove one of both
    --
    row 5, line 6, column "machineTags": "A,B" is no list of tags in JSON, as in ["Tier 0"]; write it so, or name the column Tags, in which commas stand between tags
    row 6, line 7, column "machineTags": "["A" is no list of tags in JSON, as in ["Tier 0"]; write it so, or name the column Tags, in which commas stand between tags
    row 7, line 8, column "Name": "f" stands on line 7 already, and a list has one row for each machine; remove one of both
    row 7, line 8, column "machineTags": "[1]" is no list of tags in JSON, as in ["Tier 0"]; write it so, or name the column Tags, in which commas stand between tags
    --
    1 read
    --
    1 read
    "#);
}

#[test]
fn a_list_keeps_the_cells_of_its_rows_as_they_are() {
    let list = List::read("Host;Name;Dept\n x ;ber-1\n;ber-2;a, b;;\n".as_bytes(), &OPTIONS).expect("a list");
    let rows: Vec<_> = list.rows().map(|row| (row.cell(0), row.cell(2), row.cell(3))).collect();
    assert_eq!(rows, [(" x ", "", ""), ("", "a, b", "")]);
    assert_eq!((list.header().join("|").as_str(), list.row_count()), ("Host|Name|Dept", 2));
    // Rows that name no machine are counted, for the file has them.
    let list = List::read("Name\nber-1\nNULL\n".as_bytes(), &OPTIONS).expect("a list");
    assert_eq!((list.rows().count(), list.row_count()), (1, 2));
}

#[test]
fn what_an_option_allows_or_says_helps_a_list_as_well() {
    let swallowing = format!("Id,Remark\n{A},\"see\n{B},x\"\n");
    let error = List::read(swallowing.as_bytes(), &OPTIONS).expect_err("a row in a cell");
    let doubts: Vec<_> = error.findings().iter().map(|finding| finding.problem.kind.doubt()).collect();
    assert_eq!((doubts, error.remedy()), (vec![Some(Doubt::LineBreaks)], None), "each finding says so itself");
    let accepted = ListOptions { accepted: [Doubt::LineBreaks].into_iter().collect(), ..OPTIONS };
    let (rows, notes) = read_list(swallowing.as_bytes(), &accepted).expect("allowed");
    assert_eq!(rows, [format!("2 {A}")]);
    assert_eq!(notes, ["--accept line-breaks allows 1 row that would be refused otherwise"]);

    let windows = WINDOWS_1252.encode("Name,Dep\nweb01,Größe\n").0.into_owned();
    let error = List::read(windows.as_slice(), &OPTIONS).expect_err("not UTF-8");
    assert_eq!(error.remedy(), Some(ListRemedy::Encoding));
    let named = ListOptions { encoding: Some(WINDOWS_1252), ..OPTIONS };
    let list = List::read(windows.as_slice(), &named).expect("windows-1252");
    assert_eq!(list.rows().map(|row| row.cell(1)).collect::<Vec<_>>(), ["Größe"]);
    assert_eq!(List::read("Name\na\nA\n".as_bytes(), &OPTIONS).expect_err("twice").remedy(), None);
}
