//! What the sentinels say, each of them, and whether they agree.

use super::tls;
use crate::config::{RedisHost, Sentinels};
use crate::redis::cluster::Address;
use crate::redis::connection::Primary;
use crate::redis::endpoint::Endpoint;
use crate::report::Report;

/// Asks every sentinel, also those that would only be asked should others be gone.
pub async fn check_all(endpoint: &Endpoint, sentinels: &Sentinels, report: &mut Report) {
    let mut found = Vec::new();
    for (place, (host, port)) in sentinels.hosts.iter().enumerate() {
        let (host, port) = (host.clone(), *port);
        let sentinel = Address { host, port };
        match endpoint.primary_from(place).await {
            None => {}
            Some(Ok(primary)) => {
                report.ok(format_args!(
                    "sentinel {sentinel}: the primary of {} is {primary}",
                    sentinels.name
                ));
                found.push(primary);
            }
            // One that knows is enough to go on; whether there is one is told next.
            Some(Err(error)) => {
                let why = error.why();
                report.warn(format_args!("sentinel {sentinel}: {why}"));
            }
        }
        if let Ok(Some((version, certificate))) = endpoint
            .connector()
            .certificate(Some(&sentinel), place)
            .await
        {
            tls(
                &format_args!("sentinel {sentinel}"),
                &version,
                &certificate,
                report,
            );
        }
    }
    found.dedup();
    if found.len() > 1 {
        report.warn("the sentinels do not agree: one is cut off, or the primary is just changing");
    }
}

/// Looks at the primary's certificate.
pub async fn found(endpoint: &Endpoint, host: &RedisHost, primary: &Primary, report: &mut Report) {
    let Primary { address, named_by } = primary;
    report.ok(format_args!("redis {host}: {address} is a primary"));
    if let Ok(Some((version, certificate))) = endpoint
        .connector()
        .certificate(Some(address), *named_by)
        .await
    {
        tls(
            &format_args!("redis {address}"),
            &version,
            &certificate,
            report,
        );
    }
}
