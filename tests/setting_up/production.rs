//! What production refuses, and when.

use crate::program::Program;

/// What a careful operator sets.
const SAFE: [(&str, &str); 6] = [
    ("SALDO_ENV", "production"),
    ("DATABASE_URL", "postgres://saldo:wKf0xQ9vTz3n@127.0.0.1:1/saldo"),
    ("SALDO_PUBLIC_URL", "https://saldo.example.com"),
    ("SALDO_SMTP_URL", "smtps://saldo:Yq7Lr2mXc8@mail.example.com"),
    ("SALDO_MAIL_FROM", "Saldo <saldo@example.com>"),
    ("SALDO_LISTEN", "127.0.0.1:0"),
];

#[test]
fn production_starts_with_what_is_safe_only_and_says_all_that_is_not_at_once() {
    let program = Program::new();
    let ended = program.check(&SAFE);
    assert_eq!((ended.code, ended.problems().len()), (Some(0), 0), "{ended:?}");
    let bare = [("SALDO_ENV", "production"), ("SALDO_LISTEN", "127.0.0.1:0")];
    for command in ["serve", "work"] {
        let refused = program.run(&[command], &bare);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for name in ["DATABASE_URL", "SALDO_PUBLIC_URL", "SALDO_SMTP_URL"] {
            assert!(refused.complained.contains(name), "{command}: {refused:?}");
        }
        assert!(!program.folder.join(".saldo").exists(), "{command} was about to start");
    }
    // With what is safe, it gets as far as the database, which nobody runs here.
    let started = program.run(&["serve"], &SAFE);
    assert!(started.complained.contains("the database does not answer"), "{started:?}");
}

#[test]
fn the_rehearsal_is_warned_of_what_production_would_refuse() {
    let program = Program::new();
    let mut settings = SAFE.to_vec();
    settings[0] = ("SALDO_ENV", "staging");
    settings[2] = ("SALDO_PUBLIC_URL", "http://saldo.example.com");
    let ended = program.check(&settings);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let [warning] = ended.warnings()[..] else { panic!("one warning: {ended:?}") };
    assert!(warning.starts_with("production would refuse this: SALDO_PUBLIC_URL"), "{warning}");
    settings[0] = ("SALDO_ENV", "production");
    let refused = program.check(&settings);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}
