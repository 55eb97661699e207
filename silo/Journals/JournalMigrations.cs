using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

/// <summary>The check that the migrations of all stores share.</summary>
internal static class JournalMigrations
{
    /// <summary>Rejects a store that a newer version has migrated: it may hold data that this version would not see.</summary>
    public static void CheckVersion(int version, int known, string store)
    {
        if (version > known)
        {
            throw new JournalStoreException($"{store} has tables of version {version}, but this silo supports versions up to {known}: run a newer silo.");
        }

        if (version < 0)
        {
            throw new JournalStoreException($"{store} claims to have tables of version {version}, which never existed.");
        }
    }
}
