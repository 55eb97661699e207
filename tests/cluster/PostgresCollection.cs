namespace IommuFd.ClusterTests;

/// <summary>The tests of clusters of processes, which share a PostgreSQL server and so run one after the other: what they measure is time.</summary>
[CollectionDefinition(Name)]
public sealed class PostgresCollection : ICollectionFixture<PostgresServer>
{
    public const string Name = "PostgreSQL";
}
