//! Whose a row is, where a column says so: of the profile that the command runs for, of another one, or of nobody that is
//! known. Such a row is never taken for one of whichever tenant happens to be called.

use std::collections::HashMap;
use std::io::Read;

use crate::input::cells::check::Field;
use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::error::{FoundColumns, InputError, MisnamedColumn};
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::problem::ProblemKind;
use crate::input::structure::columns::{TENANT, bare_name};
use crate::input::structure::record::Record;

/// The tenants that rows may name: by their ids or domains, or by the names of their profiles.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    /// The names of the one that is called.
    pub own: Vec<String>,
    /// The names of those that other profiles are for.
    pub others: Vec<String>,
}

/// The column that names tenants.
pub(in crate::input) struct TenantColumn {
    /// Which cell of a row it is.
    pub(in crate::input) position: usize,
    tenants: Tenants,
}

impl TenantColumn {
    /// Finds it in the header, where rows may be of several tenants.
    pub(in crate::input) fn find(tenants: Option<&Tenants>, header: &[String]) -> Option<Self> {
        let tenants = tenants?.clone();
        Some(Self { position: columns(header).next()?, tenants })
    }

    /// Whether a row with this cell is of the tenant that is called.
    pub(in crate::input) fn is_own(&self, cell: &str) -> bool {
        is_one_of(&self.tenants.own, cell)
    }

    /// What is wrong with a row that is of nobody.
    pub(in crate::input) fn fault(&self, cell: &str) -> Option<ProblemKind> {
        if cell.is_empty() {
            return Some(ProblemKind::MissingTenant);
        }
        let is_known = is_one_of(&self.tenants.own, cell) || is_one_of(&self.tenants.others, cell);
        (!is_known).then(|| ProblemKind::UnknownTenant { found: Excerpt::new(cell) })
    }
}

/// The columns that name tenants, where no profile says whose rows are meant.
pub(in crate::input) struct SignedIn {
    pub(in crate::input) positions: Vec<usize>,
    id: String,
}

impl SignedIn {
    /// Finds them in the header, where the tenant that is signed in to is known by its id.
    pub(in crate::input) fn find(id: Option<&str>, header: &[String]) -> Option<Self> {
        Some(Self { id: guid(id?)?, positions: columns(header).collect() })
    }

    /// What is doubtful about a row: that it holds the id of another tenant. Names and domains prove nothing, since a
    /// tenant has several. What is allowed is counted.
    pub(in crate::input) fn doubt<R: Read>(
        &self,
        record: &Record<'_, R>,
        accepted: Accepted,
        allowed: &mut HashMap<Doubt, u64>,
    ) -> Option<(Field, ProblemKind)> {
        let is_other =
            |cell: &&str| guid(cell).is_some_and(|id| id != self.id && !id.bytes().all(|digit| digit == b'0'));
        let cell = self.positions.iter().map(|position| record.cell(*position)).find(is_other)?;
        if accepted.allows(Doubt::OtherTenants) {
            *allowed.entry(Doubt::OtherTenants).or_default() += 1;
            return None;
        }
        Some((Field::Row, ProblemKind::OtherTenant { found: Excerpt::new(cell.trim()) }))
    }
}

fn columns(header: &[String]) -> impl Iterator<Item = usize> {
    let names_tenants = |name: &String| TENANT.contains(&bare_name(name).as_str());
    header.iter().enumerate().filter(move |(_, name)| names_tenants(name)).map(|(position, _)| position)
}

/// Refuses a header with two columns that say whose a row is; this ends on the line.
///
/// # Errors
/// [`InputError::DuplicateColumns`], where there are two.
pub(in crate::input) fn refuse_two(header: &[String], line: u64) -> Result<(), InputError> {
    let mut found = columns(header).filter_map(|place| Some(FoundColumns::one(place, header.get(place)?)));
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => Err(InputError::DuplicateColumns { line, kind: "the tenant", first, second }),
        _ => Ok(()),
    }
}

/// Refuses a header that has none of these columns, and one that speaks of tenants all the same, where profiles choose rows:
/// each row would be for every one of them. It ends on the line.
///
/// # Errors
/// [`InputError::MisnamedColumn`], where there is one.
pub(in crate::input) fn refuse_misnamed(header: &[String], line: u64, accepted: Accepted) -> Result<(), InputError> {
    if accepted.allows(Doubt::MisnamedColumns) || columns(header).next().is_some() {
        return Ok(());
    }
    let speaks_of_tenants = |(_, cell): &(usize, &String)| bare_name(cell).contains(TENANT[0]);
    match header.iter().enumerate().find(speaks_of_tenants) {
        Some((position, cell)) => {
            let misnamed = MisnamedColumn { found: FoundColumns::one(position, cell), name: TENANT[0] };
            Err(InputError::MisnamedColumn { line, misnamed })
        }
        None => Ok(()),
    }
}

/// The digits of a GUID, whatever a program writes around and between them.
fn guid(text: &str) -> Option<String> {
    let text = text.trim_matches(|it: char| !it.is_ascii_alphanumeric());
    let digits = text.replace('-', "").to_ascii_lowercase();
    (digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(digits)
}

fn is_one_of(names: &[String], cell: &str) -> bool {
    names.iter().any(|name| is_same_tenant(name, cell))
}

/// Whether two cells, or names of profiles and tenants, mean the same one: whatever their case, and an id whatever stands
/// around and between its digits.
pub(crate) fn is_same_tenant(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || guid(one).is_some_and(|id| guid(other) == Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{InputOptions, Orders, read, read_selected};

    const OWN: &str = "5A5A0000-0000-4000-8000-000000000001";
    const OTHER: &str = "5a5a0000-0000-4000-8000-000000000002";

    fn options(signed_in: &str, doubts: &[Doubt]) -> InputOptions {
        let accepted = doubts.iter().copied().collect();
        InputOptions { accepted, signed_in: Some(signed_in.to_owned()), ..InputOptions::default() }
    }

    #[test]
    fn without_a_profile_the_id_of_another_tenant_is_doubtful() {
        let own = OWN.to_lowercase();
        let nobody = "00000000-0000-0000-0000-000000000000";
        let bare = OWN.replace('-', "");
        let rows = [&own, "Contoso", &bare, nobody, OTHER, &format!("{{{OTHER}}}"), &format!("'{{{OWN}}} ")]
            .map(|tenant| format!("web01,A,Add,{tenant}\n"))
            .concat();
        let found = |signed_in: &str, doubts: &[Doubt]| {
            let text = format!("Hostname,tag,action,Tenant Id\n{rows}web02,A,Ad,{OTHER}\n");
            let sheet = read(text.as_bytes(), &options(signed_in, doubts)).expect("a sheet");
            let problems: Vec<String> =
                sheet.problems.iter().map(|it| format!("{} {}", it.row, it.kind.code())).collect();
            (sheet.requests.all.len(), problems, sheet)
        };
        let wrong = "8 unknown_action".to_owned();
        let doubtful = ["5 other_tenant", "6 other_tenant", "8 other_tenant"].map(str::to_owned).to_vec();
        let (requests, problems, sheet) = found(OWN, &[]);
        assert_eq!((requests, problems), (5, [doubtful, vec![wrong.clone()]].concat()));
        insta::assert_snapshot!(sheet.problems[0], @r#"row 5, line 6: the row is for the tenant "5a5a0000-0000-4000-8000-000000000002", and this command signs in to another one; write a profile for each tenant, remove the row, or run such rows here with --accept other-tenants"#);
        let (requests, problems, sheet) = found(OWN, &[Doubt::OtherTenants]);
        assert_eq!((requests, problems), (7, vec![wrong.clone()]));
        let notes: Vec<String> = sheet.notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes, ["--accept other-tenants allows 3 rows that would be refused otherwise"]);
        // Whatever it is dressed in, and in whichever of two columns.
        let dressed = format!(
            "Hostname,tag,action,tenant,TenantId\nweb01,A,Add,,{}\nweb02,A,Add,'{OTHER},\n",
            OTHER.replace('-', "")
        );
        assert_eq!(read(dressed.as_bytes(), &options(OWN, &[])).expect("a sheet").problems.len(), 2);
        // A domain says nothing about an id.
        assert_eq!(found("contoso.example", &[]).1, [wrong]);
    }

    #[test]
    fn with_a_profile_an_id_is_known_whatever_it_is_dressed_in() {
        let tenants = Some(Tenants { own: vec!["a".into(), OWN.into()], others: vec!["b".into(), OTHER.into()] });
        let options = InputOptions { tenants, ..InputOptions::default() };
        let bare = OTHER.replace('-', "").to_uppercase();
        let of_nobody = OWN.replace('1', "3");
        let text = format!(
            "Hostname,tag,action,tenant\nweb01,A,Add,{{{OWN}}}\nweb02,A,Add,A\nweb03,A,Add,{bare}\nweb04,A,Add,{of_nobody}\n"
        );
        let sheet = read(text.as_bytes(), &options).expect("a sheet");
        assert_eq!(sheet.requests.all.len(), 2);
        let problems: Vec<String> = sheet.problems.iter().map(|it| format!("{} {}", it.row, it.kind.code())).collect();
        assert_eq!(problems, ["4 unknown_tenant"]);
    }

    #[test]
    fn two_columns_that_say_whose_a_row_is_are_refused_where_a_profile_chooses_rows() {
        let found = |header: &str| {
            let text = format!("Hostname,tag,action,value,{header}\nweb01,A,Add,,a,b\n");
            let tenants = Some(Tenants { own: vec!["a".to_owned()], others: vec!["b".to_owned()] });
            read(text.as_bytes(), &InputOptions { tenants, ..InputOptions::default() })
        };
        assert_eq!(found("Tenant_ID,other").expect("a sheet").requests.all.len(), 1);
        for header in ["Tenant Name,other", "AadTenantId,other", "other,tennant"] {
            let error = found(header).expect_err("nobody knows whose the rows are").to_string();
            assert!(error.contains("looks like \"tenant") && error.contains("--accept misnamed-columns"), "{error}");
        }
        let text = "Hostname,tag,action,value,Tenant Name\nweb01,A,Add,,a\n";
        assert!(read(text.as_bytes(), &InputOptions::default()).is_ok(), "where no profile chooses rows");
        insta::assert_snapshot!(found("tenant,TenantId").expect_err("two columns"), @r#"the header on line 1 has two columns with the same name for the tenant, "tenant" (5) and "TenantId" (6); rename or remove one (case, blanks, _ and - make no difference)"#);
    }

    #[test]
    fn rows_that_a_filter_leaves_out_are_of_any_tenant() {
        let text = format!("Device Name,TenantId\nweb01,{OWN}\nweb02,{OTHER}\n");
        let select = |filter: &str| {
            let orders = Orders::new(&["T".to_owned()], &[], None, Accepted::default()).expect("orders");
            let options = InputOptions { orders: Some(orders), ..options(OWN, &[]) };
            let filter = crate::filter::Filter::parse(filter, jiff::Timestamp::UNIX_EPOCH).expect("a filter");
            let sheet = read_selected(text.as_bytes(), &options, Some(filter), None).expect("a sheet");
            (sheet.requests.all.len(), sheet.problems.len())
        };
        assert_eq!(select("['Device Name'] == 'web01'"), (1, 0));
        assert_eq!(select("true"), (1, 1));
    }
}
