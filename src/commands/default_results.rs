//! Where results go unless somebody says otherwise.

use std::path::{Path, PathBuf};

use super::input::is_tenants_list;

/// `x.csv` gives `x.results.csv`, a rehearsal `x.sandbox.results.csv`; the tenant's own list is called `tenant`.
pub(super) fn results_of_input(input: &Path, sandbox: bool) -> PathBuf {
    let input = if is_tenants_list(input) { Path::new("tenant") } else { input };
    input.with_extension(if sandbox { "sandbox.results.csv" } else { "results.csv" })
}

/// The results of the run that takes this one back.
pub(super) fn results_of_undo(run_id: &str) -> PathBuf {
    PathBuf::from(format!("undo-{run_id}.results.csv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_named_after_the_input() {
        assert_eq!(results_of_input(Path::new("dir/x.csv"), false), Path::new("dir/x.results.csv"));
        assert_eq!(results_of_input(Path::new("x.failed.csv"), false), Path::new("x.failed.results.csv"));
        assert_eq!(results_of_input(Path::new("x"), true), Path::new("x.sandbox.results.csv"));
        assert_eq!(results_of_input(Path::new("@tenant"), false), Path::new("tenant.results.csv"));
        assert_eq!(results_of_input(Path::new("./@tenant"), true), Path::new("./@tenant.sandbox.results.csv"));
    }
}
