using IommuFd.TestSupport;

namespace IommuFd.JournalTests;

/// <summary>One server for all tests that need one; they run one after the other, since some of them crash it.</summary>
[CollectionDefinition(Name)]
public sealed class PostgresCollection : ICollectionFixture<PostgresServer>
{
    public const string Name = "PostgreSQL";
}
