//! Whose a row is, where a column says so: of the profile that the command runs for, of another one, or of nobody that is
//! known. Such a row is never taken for one of whichever tenant happens to be called.

use super::columns::bare_name;
use super::excerpt::Excerpt;
use super::problem::ProblemKind;

/// What the column is called, bare.
const NAMES: [&str; 2] = ["tenant", "tenantid"];

/// The tenants that rows may name: by their ids or domains, or by the names of their profiles.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    /// The names of the one that is called.
    pub own: Vec<String>,
    /// The names of those that other profiles are for.
    pub others: Vec<String>,
}

/// The column that names tenants.
pub(super) struct TenantColumn {
    /// Which cell of a row it is.
    pub(super) position: usize,
    tenants: Tenants,
}

impl TenantColumn {
    /// Finds it in the header, where rows may be of several tenants.
    pub(super) fn find(tenants: Option<&Tenants>, header: &[String]) -> Option<Self> {
        let tenants = tenants?.clone();
        let position = header.iter().position(|name| NAMES.contains(&bare_name(name).as_str()))?;
        Some(Self { position, tenants })
    }

    /// Whether a row with this cell is of the tenant that is called.
    pub(super) fn is_own(&self, cell: &str) -> bool {
        is_one_of(&self.tenants.own, cell)
    }

    /// What is wrong with a row that is of nobody.
    pub(super) fn fault(&self, cell: &str) -> Option<ProblemKind> {
        if cell.is_empty() {
            return Some(ProblemKind::MissingTenant);
        }
        let is_known = is_one_of(&self.tenants.own, cell) || is_one_of(&self.tenants.others, cell);
        (!is_known).then(|| ProblemKind::UnknownTenant { found: Excerpt::new(cell) })
    }
}

fn is_one_of(names: &[String], cell: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(cell))
}
