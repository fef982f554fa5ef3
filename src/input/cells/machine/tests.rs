use super::*;
use crate::model::EntraDeviceId;

const ID: &str = "87e85b19b2b86c9cd465681f597fc4c9e879e8a1";
const DEVICE: &str = "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b";

fn worn(decorations: Decorations) -> Vec<Decoration> {
    Decoration::ALL.into_iter().filter(|decoration| decorations.has(*decoration)).collect()
}

#[test]
fn an_id_is_read_in_every_dress() {
    use Decoration::{Address, Apostrophe, Brackets, Formula, Invisible, QuotationMarks};
    let upper = ID.to_uppercase();
    let table: &[(&str, &[Decoration])] = &[
        ("ID", &[]),
        ("'ID", &[Apostrophe]),
        ("'ID'", &[QuotationMarks]),
        ("\"ID\"", &[QuotationMarks]),
        ("“ID”", &[QuotationMarks]),
        ("=\"ID\"", &[Formula]),
        ("=ID", &[Formula]),
        ("'=ID", &[Apostrophe, Formula]),
        ("{ID}", &[Brackets]),
        ("[ID]", &[Brackets]),
        ("<ID>", &[Brackets]),
        ("\u{200b}ID", &[Invisible]),
        ("ID\u{feff}", &[Invisible]),
        ("\u{202a}ID\u{202c}", &[Invisible]),
        ("' { ID } ", &[Apostrophe, Brackets, Invisible]),
        ("https://security.microsoft.com/machines/ID", &[Address]),
        ("https://security.microsoft.com/machines/v2/ID/overview?tid=3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b", &[Address]),
        ("https://securitycenter.windows.com/machines/ID/timeline#x", &[Address]),
        ("security.microsoft.us/machines/ID", &[Address]),
        ("https://api.securitycenter.microsoft.com/api/machines/ID", &[Address]),
    ];
    for (cell, expected) in table {
        for id in [ID, &upper] {
            let cell = cell.replace("ID", id);
            let (machine, decorations) = read(&cell).unwrap_or_else(|problem| panic!("{cell:?}: {problem}"));
            assert_eq!(machine, MachineReference::parse(ID), "{cell:?}");
            assert_eq!(worn(decorations), *expected, "{cell:?}");
        }
    }
}

#[test]
fn a_guid_is_an_entra_device_id_in_every_dress() {
    let device = EntraDeviceId::parse(DEVICE).expect("a GUID");
    for cell in ["ID", "{ID}", "'ID", "\"ID\"", "=\"ID\"", "=ID", "\u{feff}ID"] {
        let cell = cell.replace("ID", &DEVICE.to_uppercase());
        assert_eq!(read(&cell).expect("a device").0, MachineReference::Entra(device), "{cell:?}");
    }
}

#[test]
fn a_name_is_read_without_what_windows_writes_around_it() {
    use Decoration::{Apostrophe, Backslashes, Dollar, Domain, FinalDot, Formula, QuotationMarks};
    let table: &[(&str, &str, &[Decoration])] = &[
        ("web01", "web01", &[]),
        ("CONTOSO\\web01", "web01", &[Domain]),
        ("contoso.example\\web01$", "web01", &[Domain, Dollar]),
        ("web02$", "web02", &[Dollar]),
        ("\\\\web03", "web03", &[Backslashes]),
        ("web04.contoso.example.", "web04.contoso.example", &[FinalDot]),
        ("'web05", "web05", &[Apostrophe]),
        ("\"web06\"", "web06", &[QuotationMarks]),
        ("=\"web07\"", "web07", &[Formula]),
        ("Größe", "Größe", &[]),
        ("web 08", "web 08", &[]),
        ("\\\\web09\\share", "\\\\web09\\share", &[]),
        ("deadbeef", "deadbeef", &[]),
        ("1e5", "1e5", &[]),
        ("web.2E", "web.2E", &[]),
        ("(old)", "(old)", &[]),
        ("$", "$", &[]),
        ("17", "17", &[]),
    ];
    for (cell, name, expected) in table {
        let (machine, decorations) = read(cell).unwrap_or_else(|problem| panic!("{cell:?}: {problem}"));
        assert_eq!(machine, MachineReference::Name((*name).into()), "{cell:?}");
        assert_eq!(worn(decorations), *expected, "{cell:?}");
    }
}

#[test]
fn what_was_damaged_is_no_machine() {
    let table = [
        (&ID[..39], "damaged_id"),
        (&ID[..30], "damaged_id"),
        ("87e85b19b2b86c9cd465681f597fc4c9e879e8a1ff", "damaged_id"),
        ("'87e85b19b2b86c9cd465681f597fc4c9e879e8", "damaged_id"),
        ("87e85b19b2b86c9cd465 681f597fc4c9e879e8a1", "damaged_id"),
        ("87e85b19b2b86c9cd465\u{200b}681f597fc4c9e879e8a1", "damaged_id"),
        ("3f2a9c1e5b7d4e8f9a0b1c2d3e4f5a6b", "damaged_id"),
        ("3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6", "damaged_id"),
        ("5.5E+39", "damaged_id"),
        ("9,1E+39", "damaged_id"),
        ("1E+40", "damaged_id"),
        ("5.5e39", "damaged_id"),
        ("10.20.30.40", "machine_address"),
        ("10.20.30.40:443", "machine_address"),
        ("10.20.30.0/24", "machine_address"),
        ("fe80::5c1d:9aff:fe10:2b7e", "machine_address"),
        ("[::1]", "machine_address"),
        ("web01;web02", "several_machines"),
        ("web01, web02", "several_machines"),
        ("web01\nweb02", "several_machines"),
        ("web01|web02", "several_machines"),
        ("#N/A", "machine_placeholder"),
        ("#REF!", "machine_placeholder"),
        ("NULL", "machine_placeholder"),
        ("nan", "machine_placeholder"),
        ("https://security.microsoft.com/machines", "machine_with_more"),
        ("\u{200b}", "missing_machine"),
        ("''", "missing_machine"),
        ("a\u{7}b", "machine_control_character"),
    ];
    for (cell, code) in table {
        assert_eq!(read(cell).expect_err(cell).code(), code, "{cell:?}");
    }
    for (cell, code) in [
        (format!("{ID} {ID}"), "several_machines"),
        (format!("{ID}{ID}"), "several_machines"),
        (format!("{ID};{}", ID.replace('8', "9")), "several_machines"),
        (format!("{ID} (web01)"), "machine_with_more"),
        (format!("id={ID}"), "machine_with_more"),
        (format!("https://evil.example/machines/{ID}"), "machine_with_more"),
        ("ü".repeat(1001), "machine_too_long"),
    ] {
        assert_eq!(read(&cell).expect_err(&cell).code(), code, "{cell:?}");
    }
}
