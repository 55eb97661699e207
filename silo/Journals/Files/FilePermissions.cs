using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals.Files;

/// <summary>Makes sure that the files of a store are its user's alone: they have what contexts map, and decide what contexts are.</summary>
internal static class FilePermissions
{
    private const UnixFileMode OfOwner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>The endings of a SQLite file's companions.</summary>
    public static readonly string[] Companions = ["-wal", "-shm", "-lock", "-owner", "-state"];

    /// <summary>Takes the permissions of others from a SQLite file and its companions, and says so.</summary>
    /// <exception cref="IOException">One belongs to another user, who can change it at any time.</exception>
    public static void Mend(string path, ILogger logger)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        foreach (var file in (string[])[path, .. Companions.Select(ending => path + ending)])
        {
            if (FileIdentity.Of(file) is not { } identity)
            {
                continue;
            }

            if (identity.Owner != FileIdentity.User)
            {
                throw new IOException($"'{file}' belongs to another user (uid {identity.Owner}), who can read and change it; make it this user's (uid {FileIdentity.User})");
            }

            if ((identity.Mode & ~OfOwner) != 0)
            {
                File.SetUnixFileMode(file, identity.Mode & OfOwner);
                logger.FileWasOpenToOthers(file, Convert.ToString((int)identity.Mode, 8).PadLeft(3, '0'));
            }
        }
    }
}
