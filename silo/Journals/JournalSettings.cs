using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Configuration;

namespace IommuFd.Silo.Journals;

/// <summary>
/// Where a silo stores the journals of its contexts: the section <c>Journal</c> of the configuration (file, <c>Journal__*</c> environment,
/// <c>--Journal:*</c> arguments).
/// </summary>
public sealed class JournalSettings : IValidatableObject
{
    /// <summary>The section's name.</summary>
    public const string Section = "Journal";

    /// <summary>The kind of store. Without one, contexts are volatile.</summary>
    [EnumDataType(typeof(JournalStoreKind), ErrorMessage = "Journal:Store must be none, sqlite or postgres.")]
    public JournalStoreKind Store { get; set; } = JournalStoreKind.None;

    /// <summary>SQLite: the file. If it is missing, the silo creates it for its own user only, since it has what contexts map.</summary>
    [Required(ErrorMessage = "Journal:Path is empty; it must name the file of the SQLite store.")]
    public string Path { get; set; } = "iommufd-journal.db";

    /// <summary>
    /// SQLite: whether one silo alone uses the file; a second one does not start then. Null decides by the clustering: a silo without a cluster
    /// claims its file, the silos of a cluster may share one.
    /// </summary>
    public bool? Exclusive { get; set; }

    /// <summary>PostgreSQL: how to connect, for example <c>Host=db;Database=iommufd;Username=iommufd;Password=...</c>. It is never shown.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>
    /// PostgreSQL: how to connect to make the tables or to bring them up to date, as a user who may do that. That user then grants the user of
    /// <see cref="ConnectionString"/> what a running silo needs. Used only where there is something to make. Null takes <see cref="ConnectionString"/>. It is never shown.
    /// </summary>
    public string? SetupConnectionString { get; set; }

    /// <summary>SQLite: what a commit waits for. PostgreSQL commits always wait for the disk.</summary>
    [EnumDataType(typeof(JournalSynchronous), ErrorMessage = "Journal:Synchronous must be full or normal.")]
    public JournalSynchronous Synchronous { get; set; } = JournalSynchronous.Full;

    /// <summary>The time limit of one store operation, including waits for locks of other silos: 0.1 s to 10 min.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "00:10:00", ErrorMessage = "Journal:Timeout must be 00:00:00.1 to 00:10:00.")]
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The most writes in one commit.</summary>
    [Range(1, 65536, ErrorMessage = "Journal:MaxBatch must be 1 to 65536.")]
    public int MaxBatch { get; set; } = 512;

    /// <summary>The most bytes of frames in one commit. A single write may exceed it.</summary>
    [Range(1, 256 * 1024 * 1024, ErrorMessage = "Journal:MaxBatchBytes must be 1 to 268435456.")]
    public int MaxBatchBytes { get; set; } = 16 * 1024 * 1024;

    /// <summary>The most writes queued for a commit; further writers wait for room.</summary>
    [Range(1, 1024 * 1024, ErrorMessage = "Journal:MaxQueue must be 1 to 1048576.")]
    public int MaxQueue { get; set; } = 8192;

    /// <summary>The cluster whose silos may take journals from each other; set by the host.</summary>
    internal string Cluster { get; set; } = "";

    /// <summary>Reads the section and validates it.</summary>
    /// <param name="configuration">The whole configuration.</param>
    /// <returns>The settings, with defaults for those not given.</returns>
    /// <exception cref="ValidationException">A setting is invalid; the message names it.</exception>
    public static JournalSettings Read(IConfiguration configuration)
    {
        JournalSettings settings;
        try
        {
            settings = configuration.GetSection(Section).Get<JournalSettings>() ?? new JournalSettings();
        }
        catch (InvalidOperationException exception)
        {
            // The binder's message quotes the setting's text. The connection string, which may hold a password, is a string and always binds.
            throw new ValidationException(exception.Message, exception);
        }

        settings.Validate();
        return settings;
    }

    /// <summary>Validates all settings.</summary>
    /// <exception cref="ValidationException">A setting is invalid; the message names it.</exception>
    public void Validate() => Validator.ValidateObject(this, new ValidationContext(this), validateAllProperties: true);

    IEnumerable<ValidationResult> IValidatableObject.Validate(ValidationContext validationContext)
    {
        if (Store == JournalStoreKind.Postgres && string.IsNullOrWhiteSpace(ConnectionString))
        {
            yield return new ValidationResult("Journal:Store is postgres, so Journal:ConnectionString must say how to connect.", [nameof(ConnectionString)]);
        }
        else if (Store == JournalStoreKind.Postgres)
        {
            using var source = PostgresConnection.TryOpen(ConnectionString, Timeout);
            if (source is null)
            {
                yield return new ValidationResult(PostgresConnection.Unreadable, [nameof(ConnectionString)]);
            }
        }

        if (Store == JournalStoreKind.Postgres && !string.IsNullOrWhiteSpace(SetupConnectionString))
        {
            using var setup = PostgresConnection.TryOpen(SetupConnectionString, Timeout);
            if (setup is null)
            {
                yield return new ValidationResult(PostgresConnection.UnreadableSetup, [nameof(SetupConnectionString)]);
            }
        }

        if (Store == JournalStoreKind.Sqlite && (Path.Contains('\0') || Path.EndsWith(System.IO.Path.DirectorySeparatorChar) || Directory.Exists(Path)))
        {
            yield return new ValidationResult($"Journal:Path is '{Path}'; it must name a file.", [nameof(Path)]);
        }
    }
}

/// <summary>The kinds of store.</summary>
public enum JournalStoreKind
{
    /// <summary>No store: contexts are volatile.</summary>
    None = 0,

    /// <summary>A SQLite file, for the silos of one machine.</summary>
    Sqlite,

    /// <summary>A PostgreSQL database, for a cluster.</summary>
    Postgres,
}

/// <summary>What a SQLite commit waits for.</summary>
public enum JournalSynchronous
{
    /// <summary>Until it is on disk: it survives a power failure.</summary>
    Full = 0,

    /// <summary>Until the operating system has it: it survives the death of the silo's process, but a power failure may lose the latest commits.</summary>
    Normal,
}
