using System.ComponentModel.DataAnnotations;
using System.Net;

namespace IommuFd.Silo.Telemetry;

/// <summary>
/// What of telemetry is this program's own: the section <c>Telemetry</c> of the configuration. Everything else is said by the standard variables of OpenTelemetry, see
/// <see cref="OtelVariables"/>.
/// </summary>
public sealed class TelemetrySettings : IValidatableObject
{
    public const string Section = "Telemetry";

    /// <summary>Whether Orleans' own metrics are exported too. They are measured with each message, which an ioctl feels.</summary>
    public bool OrleansMetrics { get; set; }

    /// <summary>The port where Prometheus finds the metrics, at <c>/metrics</c>; 0 opens none.</summary>
    [Range(0, 65535)]
    public int PrometheusPort { get; set; }

    /// <summary>The address of that port. Loopback unless said otherwise; beyond it, a token is needed.</summary>
    [Required]
    public string PrometheusAddress { get; set; } = "127.0.0.1";

    /// <summary>The file that has the token which Prometheus must send (<c>Authorization: Bearer</c>); none is needed without.</summary>
    public string? PrometheusTokenPath { get; set; }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (PrometheusPort == 0)
        {
            yield break;
        }

        if (ParseAddress() is not { } address)
        {
            yield return new ValidationResult($"'{PrometheusAddress}' is no IP address.", [nameof(PrometheusAddress)]);
        }
        else if (!IPAddress.IsLoopback(address) && PrometheusTokenPath is null)
        {
            yield return new ValidationResult($"Whoever reaches {PrometheusAddress} would see the metrics: name a file with a token, or keep to the loopback.", [nameof(PrometheusTokenPath)]);
        }
    }

    internal IPAddress? ParseAddress() => PrometheusAddress == "localhost" ? IPAddress.Loopback : IPAddress.TryParse(PrometheusAddress, out var address) ? address : null;

    /// <summary>The token; null where none is needed.</summary>
    /// <exception cref="ValidationException">The file can't be read, or has no token.</exception>
    internal string? ReadToken()
    {
        if (PrometheusTokenPath is null)
        {
            return null;
        }

        try
        {
            return File.ReadAllText(PrometheusTokenPath).Trim() is { Length: >= 16 } token
                ? token
                : throw new ValidationException($"{Section}:{nameof(PrometheusTokenPath)}: the token in '{PrometheusTokenPath}' has less than 16 characters.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ValidationException($"{Section}:{nameof(PrometheusTokenPath)}: '{PrometheusTokenPath}' can't be read: {exception.Message}", exception);
        }
    }
}
