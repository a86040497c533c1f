//! The settings of tokens, and the flags of `--issue`.

use std::path::PathBuf;

use super::setting::{Env, Setting, number, setting};

/// Days that a token is valid by default.
const DAYS: u32 = 30;
/// A hundred years.
const MOST_DAYS: usize = 36_525;

/// How tokens are verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSettings {
    /// File of the key.
    pub key: PathBuf,
    /// The audience that a token must have. `None`: it must have none.
    pub audience: Option<String>,
    /// The issuer that a token must have. `None`: any.
    pub issuer: Option<String>,
    /// The claim with the user's name. `None`: `sub`.
    pub name: Option<String>,
}

/// The token that `--issue` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The user's name.
    pub user: String,
    /// Days until it ends.
    pub days: u32,
    /// The rooms that it is for. `None`: all.
    pub rooms: Option<Vec<String>>,
    /// Whether the user is a moderator.
    pub moderator: bool,
}

/// Reads the flags of `--issue`. They have no variables, because they are for one run.
///
/// # Errors
/// Says which flag is wrong, or needs `--issue`.
pub(super) fn request(
    issue: &Option<String>,
    days: &Option<String>,
    rooms: &Option<String>,
    moderator: bool,
    check: bool,
) -> Result<Option<TokenRequest>, String> {
    let Some(user) = issue else {
        let more = [
            ("days", days.is_some()),
            ("rooms", rooms.is_some()),
            ("mod", moderator),
        ];
        return match more.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(format!("--{flag} needs --issue")),
            None => Ok(None),
        };
    };
    if check {
        return Err("--issue and --check are two things; one at a time".into());
    }
    let days = setting("days", days.clone(), &|_| None);
    let days = number(days, 1..=MOST_DAYS)?.map_or(DAYS, |days| days as u32);
    let rooms = rooms.as_ref();
    let rooms = rooms.map(|list| {
        list.split(',')
            .map(|room| room.trim().to_string())
            .collect()
    });
    Ok(Some(TokenRequest {
        user: user.clone(),
        days,
        rooms,
        moderator,
    }))
}

/// Reads the settings. `more` are the audience, the issuer and the claim of the name.
///
/// # Errors
/// Says which setting is wrong, or needs a key.
pub(super) fn settings(
    key: Option<String>,
    more: [Option<String>; 3],
    env: Env<'_>,
) -> Result<Option<TokenSettings>, String> {
    let key = setting("jwt-key", key, env).map(|file| file.value.into());
    let [audience, issuer, name] = more;
    let text = |flag, given| match setting(flag, given, env) {
        None => Ok(None),
        Some(Setting { name, .. }) if key.is_none() => Err(format!("{name} needs --jwt-key")),
        Some(text) if text.value.is_empty() || text.value.contains(char::is_control) => {
            text.bad("some text")
        }
        Some(text) => Ok(Some(text.value)),
    };
    let audience = text("jwt-audience", audience)?;
    let issuer = text("jwt-issuer", issuer)?;
    let name = text("jwt-name", name)?;
    Ok(key.map(|key| TokenSettings {
        key,
        audience,
        issuer,
        name,
    }))
}
