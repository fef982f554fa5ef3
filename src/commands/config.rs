//! `tagfleet config`: each setting, and where it is from. Calls nobody, and reads nothing but the files of settings.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::{ConfigOptions, GeneralOptions, Origin, SettingInForce};
use crate::config::state_directory;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::report::{Ending, Screen};
use crate::words::WIDEST_CELL_CHARACTERS;

/// Shows them.
pub(super) fn config(
    options: &ConfigOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let settings: Vec<SettingInForce> =
        general.in_force.iter().map(|setting| resolved(setting, options, general)).collect();
    if general.json {
        let profile = &general.settings.name;
        let settings: Vec<Value> = settings.iter().map(object).collect();
        let own = json!({"profile": profile, "settings": settings});
        screen.object(own, &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        screen.data(&text(&settings, general))?;
    }
    Ok(ExitStatus::Done)
}

/// A setting of which another one says what it is where nobody sets it.
fn resolved(setting: &SettingInForce, options: &ConfigOptions, general: &GeneralOptions) -> SettingInForce {
    if setting.origin != Origin::Nobody {
        return setting.clone();
    }
    let cloud = options.changing.service.cloud.unwrap_or_default();
    let value = match setting.key.as_str() {
        "base-url" => Some(cloud.base_url().to_owned()),
        "authority-host" => Some(cloud.authority().to_owned()),
        "cloud" => Some("commercial".to_owned()),
        "state-dir" if general.in_force.iter().all(|other| other.key != "state" || other.origin == Origin::Nobody) => {
            state_directory(None, &|name| general.settings.variable(name)).ok().map(|path| shown(&path))
        }
        _ => return setting.clone(),
    };
    SettingInForce { value, origin: Origin::Default, ..setting.clone() }
}

fn object(setting: &SettingInForce) -> Value {
    let origin = match &setting.origin {
        Origin::Option => json!({"kind": "option", "name": format!("--{}", setting.key)}),
        Origin::Variable(name) => json!({"kind": "variable", "name": name}),
        Origin::File(place) => json!({"kind": "file", "path": shown(&*place.path), "line": place.line}),
        Origin::Default => json!({"kind": "default"}),
        Origin::Nobody => Value::Null,
    };
    json!({"key": setting.key, "value": setting.value.as_deref().map(shown), "origin": origin})
}

fn text(settings: &[SettingInForce], general: &GeneralOptions) -> String {
    let mut text = String::new();
    if let Some(profile) = &general.settings.name {
        let _infallible = writeln!(text, "Profile {profile}");
    }
    let lines: Vec<[String; 3]> = settings.iter().map(line).collect();
    let widest = |column: fn(&[String; 3]) -> &String| {
        lines.iter().map(|line| column(line).chars().count()).max().unwrap_or_default()
    };
    let keys = widest(|[key, ..]| key);
    let values = widest(|[_, value, _]| value).min(WIDEST_CELL_CHARACTERS);
    for [key, value, origin] in &lines {
        let _infallible = writeln!(text, "{}", format!("{key:keys$}  {value:values$}  {origin}").trim_end());
    }
    text
}

fn line(setting: &SettingInForce) -> [String; 3] {
    let kind = match &setting.origin {
        Origin::Option => "option ",
        Origin::Variable(_) => "variable ",
        Origin::File(_) | Origin::Default | Origin::Nobody => "",
    };
    let origin = format!("{kind}{}", setting.source());
    [setting.key.clone(), setting.value.as_deref().map_or_else(|| "-".to_owned(), shown), origin]
}
