//! nginx before the servers, as an operator has it.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::redis_server::free_port;
use crate::skip::skip;

/// A running nginx; ends when dropped.
pub struct Proxy {
    pub url: String,
    folder: PathBuf,
    process: Child,
}

impl Proxy {
    /// Before servers on these ports; none, and said aloud, where there is no nginx.
    pub fn start(servers: &[u16]) -> Option<Self> {
        if let Err(error) = Command::new("nginx").arg("-v").output() {
            skip(&format!("nginx cannot be run: {error}; install it"));
            return None;
        }
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("saldo-nginx-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let upstream = servers.iter().fold(String::new(), |mut upstream, server| {
            write!(upstream, "server 127.0.0.1:{server} max_fails=1 fail_timeout=1s; ")
                .expect("a string takes it");
            upstream
        });
        let path = folder.display();
        let settings = format!(
            "daemon off; worker_processes 1; error_log stderr crit; pid {path}/pid;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;
               fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
               upstream saldo {{ {upstream} keepalive 32; }}
               server {{
                 listen 127.0.0.1:{port};
                 location / {{
                   proxy_pass http://saldo; proxy_http_version 1.1; proxy_set_header Connection \"\";
                   proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
                   proxy_buffering off; proxy_read_timeout 30s; proxy_connect_timeout 2s;
                 }}
               }}
             }}"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, settings).expect("a file");
        let process = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx can be started");
        Some(Self { url: format!("http://127.0.0.1:{port}"), folder, process })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // As nginx is told to end: its worker goes with it.
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        if told.is_ok_and(|told| told.success()) {
            let _ = self.process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
