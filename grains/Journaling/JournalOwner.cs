namespace IommuFd.Grains.Journaling;

/// <summary>
/// The name of a journal's owner: the silo, and its cluster. A cluster takes no journal that another cluster has: the silos of the one do not know
/// those of the other, and would take live contexts for abandoned ones.
/// </summary>
public static class JournalOwner
{
    private const char Separator = '/';

    /// <summary>The name of a silo as an owner.</summary>
    /// <param name="cluster">Its cluster; empty for none.</param>
    /// <param name="silo">Its address.</param>
    /// <returns>The name.</returns>
    public static string Of(string cluster, string silo) => cluster.Length == 0 ? silo : $"{Uri.EscapeDataString(cluster)}{Separator}{silo}";

    /// <summary>The silo's address in an owner's name.</summary>
    /// <param name="owner">The name.</param>
    /// <returns>The address.</returns>
    public static string SiloOf(string owner) => owner[(owner.IndexOf(Separator, StringComparison.Ordinal) + 1)..];

    /// <summary>What the names of a cluster's owners begin with.</summary>
    /// <param name="owner">The name of one.</param>
    /// <returns>The beginning; empty for a name of an earlier version, which names no cluster and is everybody's.</returns>
    public static string ClusterPartOf(string owner) => owner[..(owner.IndexOf(Separator, StringComparison.Ordinal) + 1)];

    /// <summary>Whether an owner may take what another has: they are of one cluster, or one of them names none.</summary>
    /// <param name="owner">The owner.</param>
    /// <param name="taker">The other.</param>
    /// <returns>Whether it may.</returns>
    public static bool MayTake(string owner, string taker)
        => ClusterPartOf(owner) is var mine && ClusterPartOf(taker) is var theirs && (mine.Length == 0 || theirs.Length == 0 || mine == theirs);

    /// <summary>The cluster, for people.</summary>
    /// <param name="owner">The owner's name.</param>
    /// <returns>Its cluster's id.</returns>
    public static string ClusterOf(string owner) => Uri.UnescapeDataString(ClusterPartOf(owner).TrimEnd(Separator));
}
