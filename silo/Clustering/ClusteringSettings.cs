using System.ComponentModel.DataAnnotations;

namespace IommuFd.Silo.Clustering;

/// <summary>Where the silos of a cluster find each other.</summary>
public enum ClusteringProvider
{
    /// <summary>Nowhere: the silo is a cluster by itself.</summary>
    Localhost,

    /// <summary>In a PostgreSQL database: any number of silos, on one machine or many.</summary>
    Postgres,
}

/// <summary>How silos find each other: the section <c>Silo:Clustering</c>.</summary>
public sealed class ClusteringSettings : IValidatableObject
{
    /// <summary><c>localhost</c> (the default) or <c>postgres</c>.</summary>
    [EnumDataType(typeof(ClusteringProvider))]
    public ClusteringProvider Provider { get; set; } = ClusteringProvider.Localhost;

    /// <summary>
    /// For <c>postgres</c>: the membership's database, in Npgsql's form (<c>Host=db;Database=iommufd;Username=iommufd</c>). The silo creates its
    /// tables there. The password may be in the string, in a <c>Passfile</c> that it names, in <c>PGPASSWORD</c>, or in the file that
    /// <c>PGPASSWORD_FILE</c> names.
    /// </summary>
    public string? ConnectionString { get; set; }

    /// <summary>
    /// For <c>postgres</c>: how to connect to make the tables, as a user who may do that and who then grants the user of
    /// <see cref="ConnectionString"/> what a running silo needs. Used only where there are no tables yet. Null takes <see cref="ConnectionString"/>.
    /// </summary>
    public string? SetupConnectionString { get; set; }

    /// <summary>How long a starting silo waits for a database that does not answer yet. 30 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "01:00:00")]
    public TimeSpan DatabasePatience { get; set; } = TimeSpan.FromSeconds(30);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Provider == ClusteringProvider.Postgres && PostgresDatabase.Problem(ConnectionString) is { } problem)
        {
            yield return new ValidationResult(problem, [nameof(ConnectionString)]);
        }

        if (Provider == ClusteringProvider.Postgres && !string.IsNullOrWhiteSpace(SetupConnectionString) && PostgresDatabase.Problem(SetupConnectionString) is { } setup)
        {
            yield return new ValidationResult(setup, [nameof(SetupConnectionString)]);
        }
    }
}
