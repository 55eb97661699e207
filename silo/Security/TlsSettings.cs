using System.ComponentModel.DataAnnotations;

namespace IommuFd.Silo.Security;

/// <summary>How connections are secured: the section <c>Silo:Tls</c>. It is the same for those between silos and those of clients.</summary>
public sealed class TlsSettings : IValidatableObject
{
    /// <summary>The silo's certificate, as PFX or PEM. Naming it is what switches TLS on; none by default.</summary>
    public string? CertificatePath { get; set; }

    /// <summary>The private key, as PEM, where it is not in the certificate's file.</summary>
    public string? KeyPath { get; set; }

    /// <summary>The password of the PFX or of the key. Give it in the environment (<c>Silo__Tls__Password</c>) or by <see cref="PasswordPath"/>, not as an argument.</summary>
    public string? Password { get; set; }

    /// <summary>A file that has the password.</summary>
    public string? PasswordPath { get; set; }

    /// <summary>The certificates, as PEM, that others' must lead to: the cluster's own authority. The system's trusted ones by default.</summary>
    public string? CaPath { get; set; }

    /// <summary>Whether clients must show a certificate too. True by default; silos always show each other theirs.</summary>
    public bool RequireClientCertificate { get; set; } = true;

    /// <summary>
    /// The name that the certificates of silos must be for. Silos find each other by address, and addresses change, so their certificates carry one name in
    /// common. <c>iommufd</c> by default.
    /// </summary>
    [Required]
    public string ServerName { get; set; } = "iommufd";

    /// <summary>Whether connections are secured at all.</summary>
    public bool IsOn => !string.IsNullOrEmpty(CertificatePath);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (!IsOn)
        {
            foreach (var setting in (string[])[nameof(KeyPath), nameof(CaPath), nameof(Password), nameof(PasswordPath)])
            {
                if (!string.IsNullOrEmpty((string?)typeof(TlsSettings).GetProperty(setting)!.GetValue(this)))
                {
                    yield return new ValidationResult("is set, but CertificatePath is not: connections would be in the clear", [setting]);
                }
            }

            yield break;
        }

        if (!string.IsNullOrEmpty(Password) && !string.IsNullOrEmpty(PasswordPath))
        {
            yield return new ValidationResult("and Password are both set", [nameof(PasswordPath)]);
        }

        foreach (var (setting, path) in ((string, string?)[])[(nameof(CertificatePath), CertificatePath), (nameof(KeyPath), KeyPath), (nameof(PasswordPath), PasswordPath), (nameof(CaPath), CaPath)])
        {
            if (!string.IsNullOrEmpty(path) && !File.Exists(path))
            {
                yield return new ValidationResult($"is '{path}', which is no file", [setting]);
            }
        }
    }
}
