using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

/// <summary>What the migrations of all stores have in common.</summary>
internal static class JournalMigrations
{
    /// <summary>Refuses a store that a newer version has migrated: it may keep what this one would not see.</summary>
    public static void CheckVersion(int version, int known, string store)
    {
        if (version > known)
        {
            throw new JournalStoreException($"{store} has tables of version {version}, and this silo knows those up to version {known}: it takes a newer silo.");
        }

        if (version < 0)
        {
            throw new JournalStoreException($"{store} says that its tables are of version {version}, which there never was.");
        }
    }
}
