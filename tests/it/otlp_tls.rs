//! Exports over TLS: who is believed, who is shown what, and what is said when it fails.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use opentelemetry::trace::{Tracer, TracerProvider};
use tower_telemetry::{
    BuildError, Telemetry, TelemetryBuilder,
    sdk::export::{Otlp, Protocol},
};

use crate::support::{
    authority::{Authority, Kept},
    collector::Collector,
};

const LONG: Duration = Duration::from_secs(30);
const PROTOCOLS: [Protocol; 3] = [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc];

fn code(otlp: Otlp) -> TelemetryBuilder {
    Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp)
}

fn to(collector: &Collector, protocol: Protocol) -> Otlp {
    Otlp::new().with_endpoint(collector.url()).with_protocol(protocol)
}

/// Sends a span; what was said if it did not get there.
fn sent(builder: TelemetryBuilder) -> Result<(), String> {
    let telemetry = builder.build().unwrap();
    drop(telemetry.tracer_provider().tracer("test").start("span"));
    telemetry.shutdown(LONG).map_err(|error| error.to_string())
}

#[test]
fn a_collector_with_a_certificate_of_ones_own_authority_is_believed() {
    let authority = Authority::new();
    let collector = Collector::start_tls([], authority.serves(&authority.signs("127.0.0.1")));
    for protocol in PROTOCOLS {
        let otlp = to(&collector, protocol).with_ca_certificate(authority.pem());
        assert_eq!(sent(code(otlp)), Ok(()));
        assert_eq!(collector.spans().len(), 1);
    }
}

#[test]
fn one_that_cannot_be_believed_gets_nothing_and_is_not_asked_again() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let cases = [
        (authority.signs("127.0.0.1"), Some(stranger.pem()), "invalid peer certificate"),
        // The system's roots do not know it.
        (authority.signs("127.0.0.1"), None, "invalid peer certificate: UnknownIssuer"),
        (authority.signs("other.example"), Some(authority.pem()), "not valid for name"),
        (authority.signs_until("127.0.0.1", 2001), Some(authority.pem()), "expired"),
    ];
    for (identity, ca, said) in cases {
        let collector = Collector::start_tls([], authority.serves(&identity));
        for (at, protocol) in PROTOCOLS.into_iter().enumerate() {
            let mut otlp = to(&collector, protocol);
            if let Some(ca) = &ca {
                otlp = otlp.with_ca_certificate(ca.as_bytes());
            }
            let started = Instant::now();
            let error = sent(code(otlp)).unwrap_err();
            assert!(error.contains(": TLS: ") && error.contains(said), "{protocol}: {error}");
            assert!(started.elapsed() < Duration::from_secs(8));
            assert_eq!(collector.connections(), at as u64 + 1);
        }
        assert!(collector.requests().is_empty());
    }
}

#[test]
fn a_collector_that_wants_a_certificate_gets_the_one_there_is() {
    let authority = Authority::new();
    let acceptor = authority.serves_known(&authority.signs("127.0.0.1"));
    let collector = Collector::start_tls([], acceptor);
    let client = authority.signs("client");
    let stranger = Authority::new().signs("client");
    for protocol in PROTOCOLS {
        let otlp = || to(&collector, protocol).with_ca_certificate(authority.pem());
        let known =
            otlp().with_client_certificate(client.certificate.as_str(), client.key.as_str());
        assert_eq!(sent(code(known)), Ok(()));
        assert_eq!(collector.spans().len(), 1);

        let error = sent(code(otlp())).unwrap_err();
        assert!(error.contains("CertificateRequired"), "{protocol}: {error}");
        let (certificate, key) = (stranger.certificate.clone(), stranger.key.clone());
        let error = sent(code(otlp().with_client_certificate(certificate, key))).unwrap_err();
        assert!(error.contains("TLS: "), "{protocol}: {error}");
        assert!(collector.requests().is_empty());
    }
}

#[test]
fn the_environments_files_are_read_and_those_for_traces_first() {
    let authority = Authority::new();
    let acceptor = authority.serves_known(&authority.signs("127.0.0.1"));
    let collector = Collector::start_tls([], acceptor);
    let client = authority.signs("client");
    let ca = Kept::new("env-ca", &authority.pem());
    let certificate = Kept::new("env-certificate", &client.certificate);
    let key = Kept::new("env-key", &client.key);
    let url = collector.url();
    for infix in ["", "TRACES_"] {
        let own = |name: &str| format!("OTEL_EXPORTER_OTLP_{infix}{name}");
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), url.as_str()),
            (own("CERTIFICATE"), ca.path()),
            (own("CLIENT_CERTIFICATE"), certificate.path()),
            (own("CLIENT_KEY"), key.path()),
        ];
        if !infix.is_empty() {
            variables.push(("OTEL_EXPORTER_OTLP_CERTIFICATE".to_owned(), "/nowhere"));
        }
        assert_eq!(sent(Telemetry::builder().with_environment(variables)), Ok(()));
        assert_eq!(collector.spans().len(), 1);
    }
}

fn error(otlp: Otlp) -> BuildError {
    code(otlp).build().unwrap_err()
}

#[test]
fn what_cannot_be_used_is_an_error_that_says_why_and_tells_no_key() {
    let authority = Authority::new();
    let (one, other) = (authority.signs("one"), authority.signs("other"));
    let https = || Otlp::new().with_endpoint("https://collector.example");
    let client = |certificate: &str, key: &str| https().with_client_certificate(certificate, key);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let s3cret = one.key.lines().nth(1).unwrap();
    for (otlp, setting, reason) in [
        (https().with_ca_certificate(""), "OTLP CA certificate", "has no certificate"),
        (
            https().with_ca_certificate(one.key.as_str()),
            "OTLP CA certificate",
            "has no certificate",
        ),
        (https().with_ca_certificate(broken), "OTLP CA certificate", "a certificate that is none"),
        (https().with_ca_certificate(&broken[..40]), "OTLP CA certificate", "is no PEM"),
        (client("", &one.key), "OTLP client certificate", "has no certificate"),
        (client(&one.certificate, ""), "OTLP client key", "has no private key"),
        (client(&one.certificate, s3cret), "OTLP client key", "has no private key"),
        (
            client(&other.certificate, &one.key),
            "OTLP client key",
            "is not the key of the client certificate",
        ),
        (
            Otlp::new().with_ca_certificate(authority.pem()),
            "OTLP CA certificate",
            "is for an https endpoint, and http://localhost:4318/v1/traces is none",
        ),
        (
            Otlp::new().with_client_certificate(one.certificate.as_str(), one.key.as_str()),
            "OTLP client certificate",
            "is for an https endpoint",
        ),
    ] {
        let shown = format!("{otlp:?}");
        let error = error(otlp);
        assert_eq!(error.setting(), setting, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.to_string().contains(s3cret) && !shown.contains(s3cret), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_that_names_variable_and_path() {
    const CA: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE";
    const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
    let authority = Authority::new();
    let (one, other) = (authority.signs("one"), authority.signs("other"));
    let certificate = Kept::new("bad-certificate", &one.certificate);
    let key = Kept::new("bad-key", &other.key);
    let none = Kept::new("bad-none", "nothing");
    for (variables, variable, path, reason) in [
        (vec![(CA, "/nowhere/ca.pem")], CA, "/nowhere/ca.pem", "cannot be read: No such file"),
        // It would be read for ever.
        (vec![(CA, "/dev/zero")], CA, "/dev/zero", "cannot be read: it is no file of a PEM's size"),
        (vec![(CA, none.path())], CA, none.path(), "has no certificate"),
        (vec![(CERTIFICATE, certificate.path())], CERTIFICATE, certificate.path(), "set OTEL"),
        (vec![(KEY, key.path())], KEY, key.path(), "needs its certificate"),
        (
            vec![(CERTIFICATE, certificate.path()), (KEY, key.path())],
            KEY,
            key.path(),
            "is not the key of",
        ),
        (
            vec![(CERTIFICATE, certificate.path()), (KEY, none.path())],
            KEY,
            none.path(),
            "has no private key",
        ),
    ] {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example");
        let error = Telemetry::builder()
            .with_environment(variables.into_iter().chain([endpoint]))
            .build()
            .unwrap_err();
        assert_eq!((error.setting(), error.value()), (variable, path), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_pem_where_its_path_should_be_is_an_error_or_a_warning_that_shows_none_of_it() {
    let one = Authority::new().signs("one");
    let s3cret = one.key.lines().nth(1).unwrap();
    let in_one_line = one.key.replace('\n', "");
    for pem in [one.key.as_str(), &in_one_line] {
        for variable in ["OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] {
            let with = |endpoint: &str| {
                Telemetry::builder()
                    .with_environment([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), (variable, pem)])
                    .build()
            };
            let error = with("https://collector.example").unwrap_err();
            assert_eq!((error.setting(), error.value()), (variable, "REDACTED"));
            assert!(error.to_string().contains("is a PEM; it must be the path of one"), "{error}");
            let telemetry = with("http://collector.example").unwrap();
            let [warning] = telemetry.warnings() else { panic!("{:?}", telemetry.warnings()) };
            assert_eq!((warning.variable(), warning.value()), (variable, "REDACTED"));
            let described = telemetry.describe().to_string();
            for shown in [format!("{error} {error:?}"), format!("{warning:?}"), described] {
                assert!(!shown.contains(s3cret), "{shown}");
            }
        }
        // What is no certificate may be a key.
        let bytes = format!("{:?}", &in_one_line.as_bytes()[30..60]);
        let https = || Otlp::new().with_endpoint("https://collector.example");
        for otlp in [https().with_ca_certificate(pem), https().with_client_certificate(pem, pem)] {
            let error = error(otlp).to_string();
            assert!(!error.contains(&bytes[1..bytes.len() - 1]), "{error}");
        }
    }
}

#[test]
fn a_certificate_of_the_environment_for_an_http_endpoint_is_a_warning() {
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem")])
        .build()
        .unwrap();
    let warnings: Vec<String> = telemetry.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "OTEL_EXPORTER_OTLP_CERTIFICATE is `/nowhere/ca.pem`: is for an https endpoint; it was not \
          used"
        ]
    );
}

#[test]
fn without_any_roots_an_https_endpoint_is_an_error_that_says_what_to_do() {
    const THERE: &str = "TOWER_TELEMETRY_TEST_WITHOUT_ROOTS";
    if env::var_os(THERE).is_none() {
        // Where the system's roots are is the process' to say, so it has one of its own.
        let output = Command::new(env::current_exe().unwrap())
            .arg("--exact")
            .arg("otlp_tls::without_any_roots_an_https_endpoint_is_an_error_that_says_what_to_do")
            .env(THERE, "")
            .env("SSL_CERT_FILE", "/nowhere/file")
            .env("SSL_CERT_DIR", "/nowhere/folder")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let error = error(Otlp::new().with_endpoint("https://collector.example"));
    assert_eq!(error.setting(), "OTLP endpoint");
    assert_eq!(error.value(), "https://collector.example/v1/traces");
    let said = error.to_string();
    assert!(said.contains("ca-certificates") && said.contains("with_ca_certificate"), "{said}");
    // One's own authority is enough.
    let authority = Authority::new();
    let own = Otlp::new().with_endpoint("https://collector.example");
    assert!(code(own.with_ca_certificate(authority.pem())).build().is_ok());
}
