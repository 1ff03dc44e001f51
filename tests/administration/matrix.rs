//! The table of who may do what, and what it says of a caller.

use reqwest::{Method, StatusCode};

/// One operation.
#[derive(Debug)]
pub struct Row {
    pub method: Method,
    /// As the description of the API has it.
    pub path: &'static str,
    pub who: Who,
    pub whose: Whose,
    /// A valid body, or a query with its `?`; nothing where none is needed.
    pub sends: &'static str,
}

/// Who may.
#[derive(Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever comes, and all get the same status.
    Anybody(StatusCode),
    /// The same, but for API keys.
    AnybodyButKeys(StatusCode),
    /// People, and API keys with one of these scopes.
    People(Vec<&'static str>),
    Administrators,
}

/// Whose it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Ada's.
    Own,
    /// Ada's, which has ended for all that others can tell.
    Ended,
    /// Nobody's who asks here.
    None,
    /// Of whoever asks.
    Asker,
    /// About nobody who asks.
    House,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Anonymous,
    /// A key of Ada's, with this scope only.
    Key(&'static str),
    /// Ben, whose none of it is.
    Other,
    Administrator,
    /// Ada.
    Owner,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Status(StatusCode),
    /// 401.
    Unknown,
    /// 403: a key that may not.
    KeyRefused,
    /// 403: not an administrator.
    NotAdministrator,
    /// 404.
    NotFound,
    /// 409: a hold that is not open.
    NotOpen,
    /// What the rules of the thing say, and not who asks.
    LetIn,
    /// The same, or 404, since whoever asks has none.
    LetInOrNothing,
}

/// All rows, in order.
pub fn rows() -> Vec<Row> {
    let lines = include_str!("matrix.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(Row::read).collect()
}

/// The next word, and what follows it.
fn word(text: &'static str) -> (&'static str, &'static str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_start())
}

impl Row {
    fn read(line: &'static str) -> Self {
        let (method, rest) = word(line);
        let (path, rest) = word(rest);
        let (who, rest) = word(rest);
        let (whose, sends) = word(rest);
        let method = method.parse().expect("a method");
        Self { method, path, who: Who::read(who), whose: Whose::read(whose), sends }
    }

    /// What becomes of this caller's request.
    pub fn says(&self, caller: Caller) -> Verdict {
        match (&self.who, caller) {
            (Who::AnybodyButKeys(_), Caller::Key(_)) => Verdict::KeyRefused,
            (Who::Anybody(status) | Who::AnybodyButKeys(status), _) => Verdict::Status(*status),
            (_, Caller::Anonymous) => Verdict::Unknown,
            (Who::People(scopes), Caller::Key(scope)) if scopes.contains(&scope) => Verdict::LetIn,
            (_, Caller::Key(_)) => Verdict::KeyRefused,
            (Who::Administrators, Caller::Administrator) => Verdict::LetIn,
            (Who::Administrators, _) => Verdict::NotAdministrator,
            (Who::People(_), caller) => self.whose.says(caller),
        }
    }
}

impl Who {
    fn read(word: &'static str) -> Self {
        let status = |code: &str| code.parse().expect("a status");
        match word.split_once(':') {
            Some(("anybody", code)) => Self::Anybody(status(code)),
            Some(("anybody-keys", code)) => Self::AnybodyButKeys(status(code)),
            Some(_) => panic!("{word}"),
            None if word == "person" => Self::People(vec![]),
            None if word == "administrator" => Self::Administrators,
            None => Self::People(word.split('|').collect()),
        }
    }

    /// Whether who asks must say who they are.
    pub fn must_be_known(&self) -> bool {
        matches!(self, Self::People(_) | Self::Administrators)
    }
}

impl Whose {
    fn read(word: &str) -> Self {
        match word {
            "own" => Self::Own,
            "ended" => Self::Ended,
            "none" => Self::None,
            "asker" => Self::Asker,
            "-" => Self::House,
            _ => panic!("{word}"),
        }
    }

    /// What becomes of somebody's request who may ask.
    fn says(self, caller: Caller) -> Verdict {
        match (self, caller) {
            (Self::None, _) => Verdict::NotFound,
            (_, Caller::Owner) | (Self::House, _) => Verdict::LetIn,
            (Self::Own, _) => Verdict::NotFound,
            (Self::Ended, _) => Verdict::NotOpen,
            (Self::Asker, _) => Verdict::LetInOrNothing,
        }
    }
}
