using System.ComponentModel.DataAnnotations;

namespace IommuFd.Silo.Security;

/// <summary>How connections are secured: the section <c>Silo:Tls</c>. It applies between silos and to clients alike.</summary>
public sealed class TlsSettings : IValidatableObject
{
    /// <summary>The silo's certificate, as PFX or PEM. Setting it switches TLS on; none by default.</summary>
    public string? CertificatePath { get; set; }

    /// <summary>The private key, as PEM, if it is not in the certificate's file.</summary>
    public string? KeyPath { get; set; }

    /// <summary>
    /// The password of the PFX or the key. Give it in the environment (<c>Silo__Tls__Password</c>) or by <see cref="PasswordPath"/>, not as an
    /// argument.
    /// </summary>
    public string? Password { get; set; }

    /// <summary>The file with the password.</summary>
    public string? PasswordPath { get; set; }

    /// <summary>The authorities, as PEM, that others' certificates must chain to: the cluster's own. By default those the system trusts.</summary>
    public string? CaPath { get; set; }

    /// <summary>Whether clients must present a certificate too. True by default; silos always present theirs to each other.</summary>
    public bool RequireClientCertificate { get; set; } = true;

    /// <summary>
    /// The name that silos' certificates must be for. Silos find each other by address, and addresses change, so their certificates share one
    /// name. <c>iommufd</c> by default.
    /// </summary>
    [Required]
    public string ServerName { get; set; } = "iommufd";

    /// <summary>Whether TLS is on.</summary>
    public bool IsOn => !string.IsNullOrEmpty(CertificatePath);

    /// <summary>Whether every peer proves who it is by a certificate: silos and clients.</summary>
    internal bool IsMutual => IsOn && RequireClientCertificate;

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (!IsOn)
        {
            foreach (var setting in (string[])[nameof(KeyPath), nameof(CaPath), nameof(Password), nameof(PasswordPath)])
            {
                if (!string.IsNullOrEmpty((string?)typeof(TlsSettings).GetProperty(setting)!.GetValue(this)))
                {
                    yield return new ValidationResult("is set, but CertificatePath is not: connections would be unencrypted", [setting]);
                }
            }

            yield break;
        }

        if (!string.IsNullOrEmpty(Password) && !string.IsNullOrEmpty(PasswordPath))
        {
            yield return new ValidationResult("is set, and so is Password; set only one of them", [nameof(PasswordPath)]);
        }

        foreach (var (setting, path) in ((string, string?)[])[(nameof(CertificatePath), CertificatePath), (nameof(KeyPath), KeyPath), (nameof(PasswordPath), PasswordPath), (nameof(CaPath), CaPath)])
        {
            if (!string.IsNullOrEmpty(path) && !File.Exists(path))
            {
                yield return new ValidationResult($"is '{path}', but there is no such file", [setting]);
            }
        }
    }
}
