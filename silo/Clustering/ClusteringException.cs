namespace IommuFd.Silo.Clustering;

/// <summary>The silo can't join the cluster, for a reason that its operator can fix.</summary>
public sealed class ClusteringException(string message, Exception? innerException = null) : Exception(message, innerException);
