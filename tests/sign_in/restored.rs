//! Who was forgotten stays so when a backup from before is put back.

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::support::Database;
use crate::world::{ADA, PASSWORD, login, register, send};

#[tokio::test]
async fn who_comes_back_with_a_backup_is_forgotten_again_by_id() {
    let database = Database::in_memory().await;
    let ada = {
        let server = database.server();
        register(&server, ADA).await
    };
    database.disconnect().await;
    let backup = database.copy().await;
    let server = database.server();
    let password = json!({ "password": PASSWORD });
    let erased = send(&server, Method::DELETE, "/me", &ada.access, &password).await;
    assert_eq!(erased.status, StatusCode::NO_CONTENT, "{:?}", erased.body);
    drop(server);

    let id = ada.user["id"].as_str().expect("an id");
    let came_later = Uuid::now_v7().to_string();
    let (done, said) = backup.run(&["admin", "erase", &came_later, id]);
    assert!(done && said.contains("is not known here") && said.contains("is forgotten"), "{said}");
    let (again, said) = backup.run(&["admin", "erase", id]);
    assert!(again, "{said}");

    let server = backup.server();
    assert!(!ada.are_good(&server).await);
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    drop(server);
    let pool = backup.pool().await;
    let keys: Vec<Option<Vec<u8>>> = sqlx::query_scalar("select wrapped_key from person_keys")
        .fetch_all(&pool)
        .await
        .expect("rows");
    assert_eq!(keys, [None]);
    pool.close().await;
    // The heads of the log that was lost say more than the backup has.
    let heads = backup.data.join("heads-of-the-backup.jsonl");
    let heads = heads.to_str().expect("a path");
    let (clean, said) = backup.run(&["verify", "--heads", heads]);
    assert!(clean, "{said}");
    backup.discard().await;
    database.remove().await;
}
