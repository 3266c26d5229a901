//! The certificate authority of one run. Its key never leaves the coordinator's memory.

use crate::credentials::{Credentials, TOKEN, Token};
use crate::{Peer, identity};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// When certificates are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before this.
    pub from: SystemTime,
    /// Not after this. Connections that are there stay; new ones, also of a line that broke, are refused.
    pub until: SystemTime,
}

impl Validity {
    /// For as long as a run may take: seven days from now. An hour before now is valid too, because clocks differ.
    pub fn of_a_run() -> Self {
        let now = SystemTime::now();
        Self { from: now - Duration::from_secs(3_600), until: now + Duration::from_secs(7 * 86_400) }
    }
}

/// Signs the certificates of one run.
pub struct Authority {
    run: String,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    token: Token,
    validity: Validity,
}

impl Authority {
    /// A new authority, key and token for this run.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when the system gives no random numbers.
    pub fn new(run: &str, validity: Validity) -> Result<Self> {
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let mut params = params(&format!("Testfleet run {run}"), validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?.pem();
        let mut token = Token::new([0; TOKEN]);
        rustls::crypto::ring::default_provider().secure_random.fill(&mut token[..]).map_err(|_| {
            Failure::new(FailureCode::Internal, "failed to make a token: the system gives no random numbers")
        })?;
        Ok(Self { run: run.to_owned(), issuer: Issuer::new(params, key), certificate, token, validity })
    }

    /// What `peer` needs to be recognised by the others of the run.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when a certificate can't be made.
    pub fn issue(&self, peer: Peer) -> Result<Credentials> {
        self.issue_for(peer, self.validity)
    }

    pub(crate) fn issue_for(&self, peer: Peer, validity: Validity) -> Result<Credentials> {
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let mut params = params(&peer.to_string(), validity);
        let name = identity::name_of(&self.run, peer).try_into().map_err(|error| failed(&error))?;
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Who dials is the TLS client, and either side may.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| failed(&error))?;
        Ok(Credentials {
            protocol: VERSION,
            run: self.run.clone(),
            peer,
            authority: self.certificate.clone(),
            certificate: certificate.pem(),
            key: key.serialize_pem().into(),
            token: self.token.clone(),
            reach: Default::default(),
        })
    }
}

fn params(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    let epoch = date_time_ymd(1970, 1, 1);
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (params.not_before, params.not_after) = (epoch + since(validity.from), epoch + since(validity.until));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn failed(error: &rcgen::Error) -> Failure {
    Failure::new(FailureCode::Internal, "failed to make a certificate for the run's connections").cause(error)
}
